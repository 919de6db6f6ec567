package importer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

const (
	tillRows  = 600
	tillBatch = 37 // no divisor of the rows, and most batches have something rejected
)

// dirtyTill writes a file with all that tills have: codes that are no stock, bad numbers, rows of several lines, and
// rows that are there twice, next to one another and far apart.
func dirtyTill(t testing.TB) (file, mapping string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("No,Code,Pieces,Price,At,Text\n")
	for i := range tillRows {
		no, code, pieces, text := i/5, fmt.Sprintf("%05d", i%50), fmt.Sprint(1+i%4), "T-light, small"
		switch {
		case i%7 == 3:
			code = "X-POST"
		case i%11 == 5:
			pieces = "many"
		case i%13 == 1:
			no, code, pieces = 1000, "00001", "1" // the same row again and again
		case i%17 == 2:
			text = "two\nlines, \"quoted\""
		}
		fmt.Fprintf(&b, "%d,%s,%s,1.25,2026-01-05 10:00,\"%s\"\n", no, code, pieces, strings.ReplaceAll(text, `"`, `""`))
	}
	named := strings.Replace(smallMapping, "      amount:", "      itemName: ${Text}\n      amount:", 1)
	return writeFile(t, "till.csv", b.String()), named
}

// till is a dirty till's file, a database, and what must come of an import.
type till struct {
	url         string
	db          *store.DB
	file        string
	mappingText string
	m           *Mapping
}

func newTill(t testing.TB) *till {
	t.Helper()
	url := storetest.URL(t)
	l := &till{url: url, db: storetest.Open(t, url, 4)}
	l.file, l.mappingText = dirtyTill(t)
	l.m = mustParse(t, l.mappingText)
	return l
}

func (l *till) options() Options {
	return Options{DB: l.db, File: l.file, Mapping: l.m, BatchRows: tillBatch}
}

// interrupted imports until that number of batches is committed.
func (l *till) interrupted(t testing.TB, batches int) Report {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o := l.options()
	o.Progress = func(p Progress) {
		if p.Phase == PhaseImport {
			if batches--; batches == 0 {
				stop()
			}
		}
	}
	report, err := Run(ctx, o)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("an interrupted import ended with %v", err)
	}
	return report
}

func (l *till) run(t testing.TB) Report {
	t.Helper()
	report, err := Run(t.Context(), l.options())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// tillEvents and tillRejects are what the dirty till must come to.
var tillRejects = map[string]int64{"not_stocked": 86, ReasonBadNumber: 47}

const tillEvents = 467

// check holds the log and the rejects file against what the file says, event by event and byte by byte.
func (l *till) check(t testing.TB) {
	t.Helper()
	if events := l.checkAll(t); events != tillEvents {
		t.Fatalf("the file has %d events, want %d", events, tillEvents)
	}
}

// checkAll is check for a file of any number of events, which it gives.
func (l *till) checkAll(t testing.TB) int {
	t.Helper()
	var bodies []string
	var lines strings.Builder
	lines.WriteString(rejectsHeader)
	if err := Read(t.Context(), l.file, l.m, func(r Row) error {
		if r.Reject == nil {
			bodies = append(bodies, string(r.Event.Body))
			return nil
		}
		_, err := fmt.Fprintf(&lines, "%d,%s,%s,%s\n", r.Line, r.Reject.Reason, quoted(r.Reject.Detail), quoted(r.Raw))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if log := l.log(t); log != strings.Join(bodies, "\n") {
		t.Errorf("the log has %d events, not those of the file in its order", strings.Count(log, "\n")+1)
	}
	got, err := os.ReadFile(l.file + rejectsSuffix)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != lines.String() {
		t.Errorf("the rejects file has %d bytes, not the %d of the rejected rows", len(got), lines.Len())
	}
	return len(bodies)
}

// log gives the bodies in the log in its order.
func (l *till) log(t testing.TB) string {
	t.Helper()
	return storetest.Value[string](t, l.url, `SELECT coalesce(string_agg(body, E'\n' ORDER BY seq), '') FROM event_log`)
}

// quoted writes a field of CSV as encoding/csv does, by a rule of its own.
func quoted(field string) string {
	if strings.ContainsAny(field, ",\"\n") {
		return `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
	}
	return field
}

// wantTally holds a report against the counts of the whole file.
func wantTally(t testing.TB, got Report, admitted, duplicates int64) {
	t.Helper()
	want := Tally{Rows: tillRows, Admitted: admitted, Duplicates: duplicates, Rejected: tillRejects, Events: map[event.Type]int64{event.TypeSaleCompleted: tillEvents}}
	if fmt.Sprint(got.Tally) != fmt.Sprint(want) {
		t.Errorf("got %+v\nwant %+v", got.Tally, want)
	}
	if got.RejectsFile != got.File+rejectsSuffix || filepath.Base(got.File) != "till.csv" {
		t.Errorf("the report's files: %q, %q", got.File, got.RejectsFile)
	}
}
