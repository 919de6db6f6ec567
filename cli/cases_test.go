package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
)

// cases is the folder of small inputs that have failed in programs of this kind. It skips the test, loudly, where it is
// not there.
func cases(t *testing.T) func(name string) string {
	t.Helper()
	shared := os.Getenv("COMPOSERP_SHARED_DATA")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared", "data")
	}
	folder, err := filepath.Abs(filepath.Join(shared, "..", "cases"))
	if err == nil {
		_, err = os.Stat(folder)
	}
	if err != nil && os.Getenv("COMPOSERP_NO_SKIP") != "" {
		t.Fatalf("the cases must be here: %v", err)
	}
	if err != nil {
		t.Skipf("SKIPPED, AND NOT PROVEN: the cases are not here (%v); set COMPOSERP_SHARED_DATA to the folder data beside them", err)
	}
	return func(name string) string { return filepath.Join(folder, name) }
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every file gives what is right.
func TestFilesOfTheCases(t *testing.T) {
	t.Parallel()
	file := cases(t)
	const sales = `SELECT coalesce(string_agg(concat_ws(' ', body::jsonb #>> '{payload,itemId}', body::jsonb #>> '{payload,quantity}', trim_scale((body::jsonb #>> '{payload,amount}')::numeric)), ', ' ORDER BY seq), '') FROM event_log`
	const items = `SELECT string_agg(item_id || ' ' || name || ' ' || trim_scale(unit_cost), ', ') FROM item`
	numbers := strings.Replace(read(t, file("map.yaml")), "input:\n", "input:\n  thousands: \",\"\n  negatives: [6-, (6)]\n  currency: [£]\n", 1)
	for _, c := range []struct {
		name  string
		lines []string // of the command; NAME is a file of the cases
		query string
		want  string
	}{
		{"overlapping exports", []string{"import export-monday.csv --map map.yaml", "import export-tuesday-overlapping.csv --map map.yaml"}, sales, "SKU-R 2 3.1, SKU-R 1 1.55, SKU-R 1 1.55"},
		{"trailing empty columns", []string{"import trailing-empty-columns.csv --map map.yaml"}, sales, "00123 2 3.1, 1E5 1 1.5"},
		{"trailing delimiters in rows", []string{"import trailing-delimiter-rows-only.csv --map map.yaml"}, sales, "00123 2 3.1, 1E5 1 1.5"},
		{"Excel's line", []string{"import sep-line.csv --map map-semicolon.yaml"}, sales, "00123 2 3.1"},
		{"returns alone", []string{"import cr-only.csv --map map.yaml"}, sales, "00123 2 3.1, 00124 1 1"},
		{"a mapping with a mark", []string{"import cr-only.csv --map map-bom.yaml"}, sales, "00123 2 3.1, 00124 1 1"},
		{"zeros behind gzip", []string{"import zero-padded.csv.gz --map map.yaml"}, sales, "SKU-B 2 3.1, SKU-B 1 1.55"},
		{"an ending in capitals", []string{"import EVENTS.NDJSON"}, sales, "SKU-J 1 1.5"},
		{"events behind a mark", []string{"import bom.ndjson"}, sales, "SKU-J 1 1.5"},
		{"numbers that the mapping knows", []string{"import numbers.csv --map numbers.yaml"}, sales,
			"SKU-N -6 -15.3, SKU-N -1 -1.5, SKU-N 1000 1500, SKU-N 1 4.9, SKU-N 1 0.3, SKU-N -2 -3.1, SKU-N 1 5"},
		{"float noise alone", []string{"import numbers.csv --map map.yaml"}, sales, "SKU-N -1 -1.5, SKU-N 1 4.9, SKU-N 1 0.3"},
		{"blanks around codes", []string{"import sku-spaces.csv --map map.yaml"}, sales, "SKU-W 1 1, SKU-W 1 1, SKU-W 1 1, SKU-W 1 1"},
		{"UTF-16", []string{"import utf16le-bom.csv --map map.yaml"}, sales, "00123 2 3.1"},
		{"a euro sign", []string{"import euro-sku.csv --map map.yaml"}, sales, "KAF-1 1 3.5, KAF-€5 1 5, KAF-2 1 2.5"},
		{"items by semicolon", []string{"item import items-semicolon.csv --decimal ,"}, items, "SKU-X  12.5"},
		{"items with a decimal comma", []string{"item import items-decimal-comma.csv --decimal ,"}, items, "SKU-X Mug 12.5"},
		{"items with groups", []string{"item import items-thousands.csv --thousands ,"}, items, "SKU-X Mug 1250"},
		{"items with float noise", []string{"item import items-float-noise.csv"}, items, "SKU-X Mug 12.49"},
		{"items with a trailing comma", []string{"item import items-trailing-comma.csv"}, items, "SKU-X Mug 12.5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newDatabaseOnly(t)
			h.file("numbers.yaml", numbers)
			for _, line := range c.lines {
				args := strings.Fields(line)
				for i, arg := range args {
					if _, err := os.Stat(file(arg)); err == nil {
						args[i] = file(arg)
					}
				}
				if args[0] == "import" {
					args = append(args, "--rejects", filepath.Join(h.dir, "rejects.csv"))
				}
				h.ok(args...)
			}
			if got := storetest.Value[string](t, h.database, c.query); got != c.want {
				t.Errorf("want %s, got %s", c.want, got)
			}
		})
	}
}

// publishRaw publishes a message with properties of its own, as an external publisher does.
func (h *environment) publishRaw(body string, properties map[string]any) {
	h.Helper()
	vhost, err := h.broker.Vhost()
	if err != nil {
		h.Fatal(err)
	}
	message, err := json.Marshal(map[string]any{"routing_key": "integration.sale_completed", "payload": body, "payload_encoding": "string", "properties": properties})
	if err != nil {
		h.Fatal(err)
	}
	to := rabbitmqtest.ManagementURL(h) + "/api/exchanges/" + url.PathEscape(vhost) + "/" + topology.Events + "/publish"
	answer, err := http.Post(to, "application/json", bytes.NewReader(message))
	if err != nil {
		h.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		h.Fatalf("the broker answered %s", answer.Status)
	}
}

// The cases of messages, counts and times go through a running fleet: an expired message, a body behind a mark, a count
// that comes late, and a till whose clock is decades ahead.
func TestCasesOfAFleet(t *testing.T) {
	t.Parallel()
	file := cases(t)
	h := newEnvironment(t)
	value := func(query string) string { h.Helper(); return storetest.Value[string](t, h.database, query) }
	onHand := func(item string) func() bool {
		name, want, _ := strings.Cut(item, " ")
		return func() bool {
			return value(`SELECT coalesce(max(trim_scale(on_hand)::text), '') FROM position WHERE location_id NOT LIKE '@%' AND item_id = '`+name+`'`) == want
		}
	}
	h.ok("topology", "apply")
	sale := map[string]any{"type": "SALE_COMPLETED", "message_id": "m-1", "delivery_mode": 2}
	expiring := map[string]any{"type": "SALE_COMPLETED", "message_id": "m-2", "delivery_mode": 2, "expiration": "3000"}
	h.publishRaw(read(t, file("amqp-sale-with-expiration.json")), expiring)
	h.until("it has expired", func() bool {
		r := h.run("dlq", "list", "-o", "json")
		return strings.Contains(r.out, `"composerp.ledger.dead"`) && strings.Contains(r.out, `"inQueue": 1`)
	})
	h.publishRaw(read(t, file("bom.ndjson")), sale)
	f := h.up("--dir", t.TempDir())
	h.until("the letter is recorded", func() bool { return value(`SELECT count(*)::text FROM dead_letter WHERE consumer = 'ledger'`) == "1" })
	if r := h.ok("dlq", "show", "22222222-2222-4222-8222-222222222201"); !strings.Contains(r.out, "it expired there, by its own TTL of 3000 ms") || strings.Contains(r.out, "0001-01-01") {
		t.Errorf("the expired sale is shown as %s", r.out)
	}
	h.until("the sale behind a mark is booked", onHand("SKU-J -1"))

	h.ok("publish", "RECEIPT_COMPLETED", "-d", `{"receiptId":"C1","itemId":"CNT","locationId":"SHOP","quantity":100,"timestamp":"2026-02-09T08:00:00Z"}`)
	h.ok("publish", "SALE_COMPLETED", "-d", `{"saleId":"C2","itemId":"CNT","locationId":"SHOP","quantity":6,"amount":6,"timestamp":"2026-02-09T19:00:00Z"}`)
	h.until("both are booked", onHand("CNT 94"))
	h.ok("stock", "import", file("count-of-1800.csv"), "--at", "2026-02-09T18:00:00Z")
	h.until("the count is booked", func() bool {
		return value(`SELECT count(*)::text FROM movement WHERE type = 'COUNT' AND line = 0`) == "1"
	})
	if !onHand("CNT 94")() {
		t.Error("the count of 18:00 has wiped the sale of 19:00")
	}

	h.ok("supplier", "set", "--supplier", "dairy", "--lead-time-days", "2")
	h.ok("item", "set", "--item", "MILK", "--unit-cost", "1")
	h.ok("publish", "RECEIPT_COMPLETED", "-d", `{"receiptId":"N0","itemId":"MILK","locationId":"NORTH","quantity":60,"lotNumber":"L1","expiryDate":"2026-09-01","timestamp":"2026-03-01T09:00:00Z"}`)
	h.ok("rule", "set", "--item", "MILK", "--location", "NORTH", "--supplier", "dairy", "--reorder-point", "50", "--order-up-to", "150")
	h.ok("import", file("till-north-14-days.ndjson"), "--rejects", filepath.Join(h.dir, "north.csv"))
	odd := `{"eventId":"33333333-3333-4333-8333-333333333301","eventType":"SALE_COMPLETED","aggregateType":"SALES_ORDER","aggregateId":"N62","tenantId":"default","timestamp":"2062-03-15T10:00:00Z","version":"1.0","payload":{"saleId":"N62","itemId":"MILK","locationId":"NORTH","quantity":5,"amount":1,"timestamp":"2062-03-15T10:00:00Z"},"metadata":{"source":"till-n"}}`
	if r := h.run("import", h.file("odd.ndjson", odd+"\n")); r.code != 1 || !strings.Contains(r.out+r.errors, "untimely") {
		t.Errorf("the sale of 2062: exit %d, %s%s", r.code, r.out, r.errors)
	}
	h.publishRaw(odd, sale)
	h.until("it is set apart, as a letter of each worker that gets it", func() bool {
		return value(`SELECT coalesce(string_agg(consumer, ' ' ORDER BY consumer), '') FROM dead_letter WHERE event_id = '33333333-3333-4333-8333-333333333301' AND error LIKE '%2062-03-15%till-n%'`) == "intake ledger"
	})
	h.ok("import", file("till-north-next-60-days.ndjson"), "--rejects", filepath.Join(h.dir, "north.csv"))
	h.until("the days go on", onHand("MILK -67"))
	h.ok("dlq", "redrive", "--all", "--id", "33333333-3333-4333-8333-333333333301", "--timestamp", "2026-03-14T18:00:00Z", "--rate", "max")
	h.until("the sale is booked with the right time", onHand("MILK -72"))
	h.until("orders are made", func() bool {
		return value(`SELECT count(*)::text FROM purchase_order WHERE location_id = 'NORTH'`) != "0"
	})
	h.until("the fleet is at rest", func() bool { return h.run("audit", "--wait", "1m").code == 0 })
	if got := value(`SELECT concat_ws(' ', (SELECT string_agg(DISTINCT left(po_number, 8), ',') FROM purchase_order), (SELECT open_day FROM demand_calendar WHERE location_id = 'NORTH'),
		(SELECT day FROM lot_day WHERE location_id = 'NORTH'), (SELECT count(*) > 5 FROM forecast_run WHERE location_id = 'NORTH' AND done), (SELECT max(start_day) FROM forecast WHERE location_id = 'NORTH') <= '2026-05-13',
		(SELECT max(occurred_at)::date FROM movement))`); got != "PO-2026- 2026-05-13 2026-05-13 t t 2026-05-13" {
		t.Errorf("orders, days and forecasts are %s", got)
	}
	f.stop(t)
}
