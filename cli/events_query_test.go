package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/store/storetest"
)

// someEvents logs sales of an item, the n-th of n units, as a database alone has them.
func someEvents(t *testing.T, n int) string {
	t.Helper()
	url := storetest.URL(t)
	storetest.Exec(t, url, fmt.Sprintf(`INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
		SELECT 1, true, '2026-02-09T12:00:00Z', gen_random_uuid(), 'shop', 'SALE_COMPLETED', '1.0', 'S' || i, '',
		       '{"payload":{"saleId":"S' || i || '","itemId":"cup","quantity":' || i || '}}' FROM generate_series(1, %d) i`, n))
	return url
}

func TestEventsQueryAskedWrongly(t *testing.T) {
	t.Parallel()
	url := someEvents(t, 1)
	for args, says := range map[string]string{
		"--type SALE":                         `did you mean "SALE*"?`,
		"--type [":                            "the brackets of the pattern do not close",
		"--since yesterday":                   "or a position of the log",
		"--until 7":                           "want a duration such as 2h",
		"--date 2026-02-31":                   "want a date such as 2026-02-09",
		"--date 2026-02-09..2026-02-08":       "the last day is before the first",
		"--id S1":                             "is no event's id",
		"--limit -1":                          "want 0 or more",
		"-o yaml":                             "want table, json or ndjson",
		"--where payload.quantity>":           "is no path of SQL/JSON",
		"--where payload.itemId=='cup'":       "texts stand in double quotes",
		"--where $.payload.itemId|like_regex": "is no path of SQL/JSON",
	} {
		r := command(t, append(strings.Fields("events query --database-url "+url), strings.Fields(args)...)...)
		if r.code != exit.WrongUsage || !strings.Contains(r.errors, says) {
			t.Errorf("events query %s: exit %d, %s", args, r.code, r.errors)
		}
	}
	if r := command(t, "events", "tail", "-f", "-o", "json", "--database-url", url); r.code != exit.WrongUsage || !strings.Contains(r.errors, "-o ndjson") {
		t.Errorf("events tail -f -o json: exit %d, %s", r.code, r.errors)
	}
}

func TestEventsQueryShows(t *testing.T) {
	t.Parallel()
	url := someEvents(t, 30)
	for args, want := range map[string]string{
		"--where payload.quantity>28":                                "S29 S30",
		"--where payload.quantity>28&&payload.itemId==\"cup\"":       "S29 S30",
		"--where exists($.payload.quantity?(@==3))":                  "S3",
		"--where $.payload.quantity?(@<2)":                           "S1",
		"--sale S4 --item cup --type integration.sale_* --limit 0":   "S4",
		"--limit 2 --reverse":                                        "S30 S29",
		"--since 28 --occurred-since 2026-02-09T12:00:00Z":           "S29 S30",
		"--date 2026-02-01..2026-02-09 --tenant shop --limit 1":      "S1",
		"--occurred-until 2026-02-09T12:00:00Z":                      "",
		"--type RECEIPT_COMPLETED,stock*":                            "",
		"--aggregate S7 --type SALE_COMPLETED --type sale_completed": "S7",
	} {
		for _, format := range []string{"json", "ndjson"} {
			r := command(t, append(strings.Fields("events query -o "+format+" --database-url "+url), strings.Fields(args)...)...)
			text := r.out
			if format == "ndjson" {
				text = "[" + strings.Join(strings.Split(strings.TrimSpace(r.out), "\n"), ",") + "]"
			}
			var rows []struct {
				AggregateID string
				Event       struct{ Payload struct{ SaleID string } }
			}
			if err := json.Unmarshal([]byte(text), &rows); r.code != exit.OK || err != nil {
				t.Fatalf("events query %s -o %s: exit %d, %v: %s", args, format, r.code, err, r.errors)
			}
			var got []string
			for _, row := range rows {
				if got = append(got, row.AggregateID); row.Event.Payload.SaleID != row.AggregateID {
					t.Errorf("the event of %s is %+v", row.AggregateID, row.Event)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("events query %s -o %s: %q, want %q", args, format, got, want)
			}
		}
	}
}
