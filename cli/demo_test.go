package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
)

// told is what `demo -o json` says, as far as it is held against the database here.
type told struct {
	From, To          event.Date
	Days              int
	EventsNewToTheLog int64
	World             struct{ Sold, Returned, Received, Opening, Moved, Damaged, Wanted, Lost event.Decimal }
	Service           struct {
		Sold, Filled        event.Decimal
		StockOuts, Orders   int64
		AverageStock        float64
		LowStockSaid        int64
		AverageStockAtValue float64
	}
	FillRate      float64
	Now           struct{ Waiting, Unsent, Sent, Received, Rejected, Low, Out, Watched int64 }
	SupplierCalls struct{ All, Confirmed, Known, Busy, Refused int64 }
	Events        int64
	Audit         struct{ Verdict string }
}

func (h *environment) demo(args ...string) (told, string) {
	h.Helper()
	r := h.ok(append([]string{"demo", "--exit", "--speed", "max", "-o", "json"}, args...)...)
	var d told
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		h.Fatalf("stdout holds more than the summary: %v\n%s", err, r.out)
	}
	if d.Audit.Verdict != "proven" {
		h.Errorf("the audit says %q", d.Audit.Verdict)
	}
	if n := strings.Count(r.errors, "  sold "); n != d.Days {
		h.Errorf("%d days of %d have a line\n%s", n, d.Days, r.errors)
	}
	return d, r.errors
}

func (h *environment) number(query string) string {
	h.Helper()
	return storetest.Value[string](h, h.database, query)
}

// moved sums up what the ledger has of a kind of movement.
func (h *environment) moved(kind, and string) string {
	h.Helper()
	return h.number(fmt.Sprintf(`SELECT coalesce(sum(m.quantity), 0)::text FROM movement m WHERE m.line = 0 AND m.type = '%s' %s`, kind, and))
}

// A few days of the shop from the first sale to goods received, by the program as
// it is; what it tells is what the database holds. Run again, it goes on with the
// next days.
func TestDemo(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	first, _ := h.demo("--days", "4")
	if first.From != "2026-02-02" || first.To != "2026-02-05" || first.Days != 4 {
		t.Errorf("it simulated %s to %s, %d days", first.From, first.To, first.Days)
	}
	received := h.number(`SELECT sum(received)::text FROM purchase_order_line`)
	for what, pair := range map[string][2]string{
		"sold":      {first.World.Sold.Neg().String(), h.moved("SALE", "")},
		"returned":  {first.World.Returned.String(), h.moved("RETURN", "")},
		"damaged":   {first.World.Damaged.Neg().String(), h.moved("ADJUSTMENT", "")},
		"received":  {first.World.Received.String(), received},
		"moved":     {first.World.Moved.Neg().String(), h.moved("TRANSFER", "AND m.quantity < 0")},
		"wanted":    {first.World.Wanted.String(), first.World.Sold.Add(first.World.Lost).String()},
		"measured":  {first.Service.Sold.String(), first.World.Sold.String()},
		"orders":    {fmt.Sprint(first.Service.Orders), h.number(`SELECT count(*)::text FROM purchase_order`)},
		"confirmed": {fmt.Sprint(first.SupplierCalls.Confirmed), h.number(`SELECT count(*)::text FROM dispatch WHERE status = 'SENT'`)},
		"low stock": {fmt.Sprint(first.Service.LowStockSaid), h.number(`SELECT count(*)::text FROM event_log WHERE type = 'INVENTORY_LOW_STOCK'`)},
		"have come": {fmt.Sprint(first.Now.Received), h.number(`SELECT count(*)::text FROM purchase_order_line WHERE received >= quantity`)},
		"watched":   {fmt.Sprint(first.Now.Watched), "180"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: it tells %s, the database %s", what, pair[0], pair[1])
		}
	}
	if first.World.Received.Sign() <= 0 || first.FillRate < 0.9 || first.FillRate > 1 || first.Service.AverageStock < 1000 {
		t.Errorf("received %s, fill rate %f, average stock %f", first.World.Received, first.FillRate, first.Service.AverageStock)
	}
	direct := h.number(`SELECT count(*)::text FROM event_log WHERE NOT publish`)
	if direct == "0" {
		t.Error("no till published by itself")
	}

	second, said := h.demo("--days", "2")
	if second.From != "2026-02-06" || second.To != "2026-02-07" || second.EventsNewToTheLog == 0 {
		t.Errorf("the second run simulated %s to %s and published %d new events", second.From, second.To, second.EventsNewToTheLog)
	}
	if !strings.Contains(said, "simulated before until 2026-02-05; resuming with 2026-02-06") {
		t.Errorf("the second run does not say that it resumes: %s", said)
	}
	if all, want := h.number(`SELECT sum(received)::text FROM purchase_order_line`), first.World.Received.Add(second.World.Received).String(); all != want {
		t.Errorf("%s came for orders, the two runs tell of %s", all, want)
	}
	// What was in transit after the first run has arrived, from suppliers and from the warehouse.
	if n := h.number(`SELECT count(*)::text FROM on_order_booking b JOIN purchase_order o USING (tenant_id, purchase_order_id)
		WHERE b.kind = 'RECEIVED' AND b.occurred_at > '2026-02-06' AND o.created_at < '2026-02-06'`); n == "0" {
		t.Error("nothing that was ordered in the first run has come in the second")
	}
	if n := h.number(`SELECT count(*)::text FROM event_log t WHERE t.type = 'TRANSFER_INITIATED' AND t.occurred_at < '2026-02-07' AND NOT EXISTS (
		SELECT FROM event_log r WHERE r.type = 'RECEIPT_COMPLETED' AND r.body::jsonb #>> '{payload,transferId}' = t.body::jsonb #>> '{payload,transferId}')`); n != "0" {
		t.Errorf("%s transfers never arrived", n)
	}
}

// The days of a file: every row is booked, and a second run knows it all again.
func TestDemoOnAFile(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	till := realTill(t, h.dir, 800)
	// A slip of the till: ordered for at once, taken back in the evening; the buyer does not fall for it.
	appendTo(t, till.path, "900001,85123A,SLIP,60000,2010-12-02 10:01:00,2.55,,United Kingdom\nC900001,85123A,SLIP,-60000,2010-12-02 17:01:00,2.55,,United Kingdom\n"+
		"900002,85123A,HEART,1,2010-12-03 10:01:00,2.55,,United Kingdom\n")
	till.units["85123A"]--
	path, err := filepath.Abs(mapping)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--sales", till.path, "--map", path, "--policy", "fixed"}
	d, _ := h.demo(args...)
	net := d.World.Returned.Sub(d.World.Sold).IntPart()
	if got := h.number(`SELECT sum(m.quantity)::text FROM movement m WHERE m.line = 0 AND m.type IN ('SALE', 'RETURN', 'ADJUSTMENT')`); got != fmt.Sprint(netOf(till.units)) {
		t.Errorf("the ledger moved %s, the file %d (sold and returned %d)", got, netOf(till.units), net)
	}
	if d.From != "2010-12-01" || d.Service.Orders == 0 || d.Now.Rejected != 1 || d.FillRate <= 0 || d.FillRate >= 1 {
		t.Errorf("from %s, %d orders, %d of them rejected, fill rate %f", d.From, d.Service.Orders, d.Now.Rejected, d.FillRate)
	}
	// What the world counts and what the ledger shows is the same.
	if filled := d.World.Wanted.Sub(d.World.Lost); !filled.Equal(d.Service.Filled) {
		t.Errorf("by the world %s pieces were there when they were sold, by the ledger %s", filled, d.Service.Filled)
	}
	if again, _ := h.demo(args...); again.EventsNewToTheLog != 0 {
		t.Errorf("the second run published %d new events", again.EventsNewToTheLog)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is no demo is refused before anything is started.
func TestDemoUsage(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	for _, args := range [][]string{
		{"--speed", "fast"}, {"--speed", "-1"}, {"--speed", "NaN"}, {"--days", "-1"}, {"--until", "tomorrow"}, {"--measure-from", "2026-13-01"},
		{"--map", "x.yaml"}, {"--policy", "fixed"}, {"--sales", "x.csv"}, {"--sales", "x.ndjson", "--policy", "best"}, {"--sales", "x.ndjson", "--seed", "2"}, {"-o", "xml"}, {"shop"},
	} {
		if r := h.run(append([]string{"demo"}, args...)...); r.code != 64 {
			t.Errorf("demo %v: exit %d\n%s", args, r.code, r.errors)
		}
	}
}
