package importer

import (
	"os"
	"strings"
	"testing"

	"github.com/composerp/composerp/store/storetest"
)

// TestWholeEvents imports NDJSON of events: each is held to what is asked of events from outside.
func TestWholeEvents(t *testing.T) {
	t.Parallel()
	line := func(id, kind, payload string) string {
		return `{"eventId":"00000000-0000-4000-8000-0000000000` + id + `","eventType":"` + kind + `","aggregateType":"SALES_ORDER","aggregateId":"7","tenantId":"demo",` +
			`"timestamp":"2026-01-05T10:00:00Z","version":"1.0","payload":` + payload + `,"metadata":{"source":"pos"}}`
	}
	const sale = `{"saleId":"7","itemId":"A","locationId":"SHOP","quantity":2,"amount":5,"timestamp":"2026-01-05T10:00:00Z"}`
	in := strings.Join([]string{
		line("01", "SALE_COMPLETED", sale),
		line("02", "SALE_COMPLETED", sale),
		line("01", "SALE_COMPLETED", sale),                                 // the same event
		line("02", "SALE_COMPLETED", strings.Replace(sale, "5,", "6,", 1)), // another event with a known id
		line("03", "SALE_COMPLETED", strings.Replace(sale, ":2,", `:"2",`, 1)),
		line("04", "SALE_CANCELLED", sale),
		line("05", "INVENTORY_LOW_STOCK", `{"itemId":"A","locationId":"SHOP","available":1,"threshold":2}`),
		`{"eventId":`,
		`not JSON`,
	}, "\n")
	url := storetest.URL(t)
	// One row a batch: which of two events with one id in the same batch is first is the store's affair.
	o := Options{DB: storetest.Open(t, url, 2), File: writeFile(t, "events.ndjson", in), BatchRows: 1}
	report, err := Run(t.Context(), o)
	must(t, err)
	if report.Rows != 9 || report.Admitted != 2 || report.Duplicates != 1 || report.RejectedTotal() != 6 {
		t.Errorf("got %+v", report.Tally)
	}
	text, err := os.ReadFile(report.RejectsFile)
	must(t, err)
	lines := strings.Split(string(text), "\n")
	for i, want := range []string{
		"line,reason,detail,row",
		"4,conflict,eventId: another event with the id 00000000-0000-4000-8000-000000000002 is in the log,",
		`5,invalid_event,"payload.quantity: want a number, got string ""2""",`,
		`6,invalid_event,`,
		`7,not_from_outside,eventType: INVENTORY_LOW_STOCK is published by Composerp's own workers only,`,
		`8,invalid_event,`,
		`9,invalid_event,`,
		``,
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d of the rejects file: got %s\nwant %s", i+1, lines[i], want)
		}
	}
	if got := storetest.Value[string](t, url, `SELECT string_agg(body, E'\n' ORDER BY seq) FROM event_log`); got != strings.Join(strings.Split(in, "\n")[:2], "\n") {
		t.Errorf("the log has %s", got)
	}
}
