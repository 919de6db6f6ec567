package cli_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/store/storetest"
)

type countedFile struct {
	Rows, Counted, CountedBefore int
	At                           string
}

func (h *environment) counted(args ...string) countedFile {
	h.Helper()
	var report countedFile
	r := h.ok(append([]string{"stock", "import", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		h.Fatalf("%v in %s", err, r.out)
	}
	return report
}

// A count of several batches through the whole fleet: the ledger has it, once,
// however often the file is imported.
func TestAnOpeningCountIsImported(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	f := h.up()
	const n = 600
	var content strings.Builder
	content.WriteString("item_id,location_id,quantity\n")
	for i := range n {
		fmt.Fprintf(&content, "i%d,LON,%d.5\n", i, i)
	}
	file := h.file("count.csv", content.String())
	if r := h.ok("stock", "import", "--dry-run", file); strings.Contains(r.out, "counted") || storetest.Value[int](t, h.database, `SELECT count(*) FROM event_log`) != 0 {
		t.Errorf("a dry run says %s", r.out)
	}
	first := h.counted(file)
	if first.Rows != n || first.Counted != n || first.CountedBefore != 0 {
		t.Errorf("the count reports %+v", first)
	}
	// What was sold since is not counted back.
	counted, err := time.Parse(time.RFC3339, first.At)
	if err != nil {
		t.Fatal(err)
	}
	h.ok("publish", "SALE_COMPLETED", "-d", fmt.Sprintf(`{"saleId":"S1","itemId":"i7","locationId":"LON","quantity":2,"amount":1,"timestamp":%q}`, counted.Add(time.Minute).Format(time.RFC3339)))
	if again := h.counted(file); again.Counted != 0 || again.CountedBefore != n || again.At != first.At {
		t.Errorf("the second import reports %+v, want all counted before at %s", again, first.At)
	}
	// Another time is another count, and that one too is said once.
	later := counted.Add(time.Hour).Truncate(time.Second)
	at := later.In(time.FixedZone("", 3600)).Format(time.RFC3339)
	for _, want := range []countedFile{{n, n, 0, later.Format(time.RFC3339)}, {n, 0, n, later.Format(time.RFC3339)}} {
		if got := h.counted(file, "--at", at); got != want {
			t.Errorf("a count at another time reports %+v, want %+v", got, want)
		}
	}
	h.proven()
	if got := storetest.Value[string](t, h.database, `SELECT sum(on_hand)::text FROM position WHERE location_id = 'LON'`); got != fmt.Sprintf("%d.0", n*(n-1)/2+n/2) {
		t.Errorf("%s are on hand", got)
	}
	const history = `SELECT string_agg(m.on_hand::text, ' ' ORDER BY m.sequence) FROM movement m JOIN position p ON p.id = m.position_id
		WHERE p.item_id = 'i7' AND p.location_id = 'LON'`
	if got := storetest.Value[string](t, h.database, history); got != "7.5 5.5 7.5" {
		t.Errorf("of i7 were on hand %s, want a count, a sale and a count", got)
	}
	// `stock` itself still lists.
	if r := h.ok("stock", "--item", "i7", "-o", "json"); !strings.Contains(r.out, `"onHand": 7.5`) {
		t.Errorf("stock shows %s", r.out)
	}
	f.stop(t)
}

// An import that was interrupted behind its first batch goes on at the time it began with.
func TestAnInterruptedCountHasOneTime(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	var content strings.Builder
	content.WriteString("itemId,locationId,quantity\n")
	for i := range 700 {
		fmt.Fprintf(&content, "i%d,LON,1\n", i)
	}
	file := h.file("count.csv", content.String())
	first := h.counted(file)
	storetest.Exec(t, h.database, `DELETE FROM admission WHERE seq > 500`)
	storetest.Exec(t, h.database, `DELETE FROM event_log WHERE seq > 500`)
	if again := h.counted(file); again.Counted != 200 || again.CountedBefore != 500 || again.At != first.At {
		t.Errorf("going on reports %+v after %+v", again, first)
	}
	if n := storetest.Value[int](t, h.database, `SELECT count(DISTINCT occurred_at) FROM event_log`); n != 1 {
		t.Errorf("the count has %d times", n)
	}
	if n := storetest.Value[int](t, h.database, `SELECT count(*) FROM event_log`); n != 700 {
		t.Errorf("%d events are in the log", n)
	}
}
