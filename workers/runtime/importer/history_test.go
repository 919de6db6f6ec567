package importer

import (
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
)

// Rows imported as history say so, keep what else their events have, and are the same rows with and without it.
func TestHistory(t *testing.T) {
	t.Parallel()
	m := exportBy(t, "")
	csv := writeFile(t, "export.csv", exportHeader+"R1,1,MUG,2,3.10,2026-02-09 12:00,Mug,open,100,18:00\n")
	whole := writeFile(t, "events.ndjson", string(readAll(t, csv, m)[0].Event.Body[:1])+`"note":1,`+string(readAll(t, csv, m)[0].Event.Body[1:])+"\n")
	for _, c := range []struct {
		file string
		m    *Mapping
	}{{csv, m}, {whole, nil}} {
		for _, first := range []bool{true, false} {
			x := newExports(t)
			for i, history := range []bool{first, !first, first} {
				r, err := Run(t.Context(), Options{DB: x.db, File: c.file, Mapping: c.m, History: history})
				must(t, err)
				want := "0/1/0"
				if i == 0 {
					want = "1/0/0"
				}
				if got := fmt.Sprintf("%d/%d/%d", r.Admitted, r.Duplicates, r.RejectedTotal()); got != want {
					t.Errorf("%s, history %t, import %d: want %s, got %s", c.file, first, i, want, got)
				}
			}
			got := storetest.Value[string](t, x.url, `SELECT coalesce(body::jsonb #>> '{metadata,history}', '') || ' ' || coalesce(body::jsonb ->> 'note', '') FROM event_log`)
			if want := map[bool]string{true: "true ", false: " "}[first] + map[bool]string{true: "1"}[c.m == nil]; got != want {
				t.Errorf("%s, history %t: the log has %q, want %q", c.file, first, got, want)
			}
		}
	}
}

// The first row of long ago at a place where orders are made is found; rows elsewhere, later or rejected are not.
func TestFirstOld(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "export.csv", exportHeader+"R0,1,MUG,2,3.10,2019-02-09 12:00,Mug,void,100,18:00\n"+
		"R1,1,MUG,2,3.10,2026-02-09 12:00,Mug,open,100,18:00\nR2,1,MUG,2,3.10,2020-02-09 12:00,Mug,open,100,18:00\n")
	shop := masterdata.LocationKey{Tenant: "demo", Location: "SHOP"}
	for _, c := range []struct {
		before time.Time
		at     masterdata.LocationKey
		line   int64
	}{
		{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), shop, 4},
		{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), shop, 3},
		{time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), shop, 0},
		{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), masterdata.LocationKey{Tenant: "demo", Location: "OTHER"}, 0},
	} {
		old, err := FirstOld(t.Context(), file, exportBy(t, ""), c.before, map[masterdata.LocationKey]bool{c.at: true})
		must(t, err)
		if old == nil != (c.line == 0) || old != nil && old.Line != c.line {
			t.Errorf("before %s at %s: got %+v, want line %d", c.before, c.at.Location, old, c.line)
		}
	}
}
