package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/contract"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
)

// goldenRun are the command lines of a small shop whose fleet emits every type: goods with and without a lot, a sale
// and a return, a transfer and its receipt, orders that the policy approves, that a person approves, that a person
// rejects, that waits too long, and that is closed. Each waits until the log has count events of a type, so that
// figures are the same each time.
var goldenRun = []struct {
	line  string
	until event.Type
	count int
}{
	{line: "tenant set --approval-limit 100 --currency EUR --forecast-cadence-days 1"},
	{line: "supplier set --supplier smith --name Smith --lead-time-days 4"},
	{line: "item set --item cup --name Cup --unit-cost 2.5"},
	{line: "rule set --item cup --location NORTH --supplier smith --reorder-point 10 --order-up-to 40 --low-stock-threshold 10 --at 2026-02-01T08:00:00Z"},
	{line: "rule set --item jug --location NORTH --supplier smith --reorder-point 4 --order-up-to 12 --at 2026-02-01T08:00:00Z"},
	{line: "rule set --item mug --location NORTH --supplier smith --reorder-point 4 --order-up-to 12 --at 2026-02-01T08:00:00Z"},
	{`publish STOCK_COUNTED --timestamp 2026-02-02T08:00:00Z --data {"countId":"C1","itemId":"cup","locationId":"NORTH","quantity":50}`, event.TypeInventoryUpdated, 1},
	{`publish RECEIPT_COMPLETED --data {"receiptId":"R1","itemId":"tea","locationId":"NORTH","quantity":24.5,"lotNumber":"L7","expiryDate":"2026-02-06","timestamp":"2026-02-02T09:00:00Z"}`, event.TypeLotExpiring, 1},
	{`publish RECEIPT_COMPLETED --data {"receiptId":"R2","itemId":"cup","locationId":"NORTH","quantity":20,"timestamp":"2026-02-02T09:01:00Z"}`, event.TypeInventoryUpdated, 3},
	{`publish SALE_COMPLETED --data {"saleId":"S1","itemId":"cup","locationId":"NORTH","quantity":62,"amount":240.5,"timestamp":"2026-02-02T10:01:00Z"}`, event.TypePurchaseOrderApproved, 1},
	{`publish SALE_COMPLETED --data {"saleId":"S2","itemId":"cup","locationId":"NORTH","quantity":-1,"amount":-4,"currency":"EUR","itemName":"Cup","timestamp":"2026-02-02T10:02:00Z"}`, event.TypeInventoryUpdated, 5},
	{`publish STOCK_ADJUSTED --timestamp 2026-02-02T11:00:00Z --data {"adjustmentId":"A1","itemId":"tea","locationId":"NORTH","quantity":-0.5,"reason":"torn"}`, event.TypeInventoryUpdated, 6},
	{`publish STOCK_ADJUSTED --timestamp 2026-02-02T11:01:00Z --data {"adjustmentId":"A2","itemId":"tea","locationId":"NORTH","quantity":1}`, event.TypeInventoryUpdated, 7},
	{`publish TRANSFER_INITIATED --timestamp 2026-02-02T12:00:00Z --data {"transferId":"T1","itemId":"tea","fromLocationId":"NORTH","toLocationId":"SOUTH","quantity":3}`, event.TypeInventoryUpdated, 8},
	{`publish RECEIPT_COMPLETED --data {"receiptId":"R3","itemId":"tea","locationId":"SOUTH","quantity":3,"transferId":"T1","timestamp":"2026-02-02T15:00:00Z"}`, event.TypeInventoryUpdated, 9},
	{`publish STOCK_COUNTED --timestamp 2026-02-02T16:00:00Z --data {"countId":"C2","itemId":"jug","locationId":"NORTH","quantity":0}`, event.TypePurchaseOrderCreated, 2},
	{`publish STOCK_COUNTED --timestamp 2026-02-02T16:01:00Z --data {"countId":"C3","itemId":"mug","locationId":"NORTH","quantity":0}`, event.TypePurchaseOrderCreated, 3},
	{`publish SALE_COMPLETED --data {"saleId":"S3","itemId":"cup","locationId":"NORTH","quantity":1,"amount":4,"timestamp":"2026-02-04T10:01:00Z"}`, event.TypeForecastGenerated, 1},
	{"po approve --operator ann PO-2026-000002", event.TypePurchaseOrderApproved, 2},
	{`po reject --operator ann --reason full PO-2026-000003`, event.TypePurchaseOrderCancelled, 1},
	{line: "rule set --item pot --location NORTH --supplier smith --reorder-point 4 --order-up-to 12 --at 2026-02-01T08:00:00Z"},
	{`publish STOCK_COUNTED --timestamp 2026-02-04T16:01:00Z --data {"countId":"C4","itemId":"pot","locationId":"NORTH","quantity":0}`, event.TypePurchaseOrderCreated, 4},
	{line: "tenant set --approval-escalate-hours 1 --approval-cancel-hours 3"},
	{anHour, event.TypePurchaseOrderEscalated, 1},
	{anHour, "", 0},
	{anHour, event.TypePurchaseOrderCancelled, 2},
	{`po close --operator ann --reason late PO-2026-000002`, event.TypePurchaseOrderClosed, 1},
}

// anHour is a step in which the orders that wait become an hour older.
const anHour = "an hour passes"

// The golden events are what the fleet emits: one event of each type, version and set of fields. An event that the
// fleet emits otherwise now is a change for all who read it.
func TestGoldenEvents(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.up()
	for n, step := range goldenRun {
		if args := append(strings.Fields(step.line), "--tenant", "golden"); step.line == anHour {
			h.soon("the order is a process", func() bool {
				return storetest.Value[int](h, h.database, `SELECT count(*) FROM process_instance WHERE NOT final`) == 1
			})
			storetest.Exec(h, h.database, `UPDATE process_instance SET begun_at = begun_at - interval '1 hour'`)
		} else {
			if args[0] == "publish" {
				args = append(args, "--id", fmt.Sprintf("6f1de001-6a6b-4d4f-8f3e-%012d", n))
			}
			h.ok(args...)
		}
		if step.until != "" {
			h.soon(fmt.Sprintf("after %q there are %d %s", step.line, step.count, step.until), func() bool {
				return storetest.Value[int](h, h.database, `SELECT count(*) FROM event_log WHERE type = '`+string(step.until)+`'`) >= step.count
			})
		}
	}
	const folder = "../exchange/contract/golden"
	known := map[string]bool{}
	emitted := h.emitted()
	for _, typ := range event.Types() {
		d, _ := event.Lookup(typ)
		for _, version := range []string{d.Older(), d.Version} {
			if version == "" {
				continue
			}
			name := contract.Name(typ, version)
			known[name+".ndjson"] = true
			for _, body := range emitted[name] {
				if err := event.Validate([]byte(body)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			golden.Compare(t, filepath.Join(folder, name+".ndjson"), strings.Join(emitted[name], "\n")+"\n")
		}
	}
	golden.NoOthers(t, folder, known)
	h.emitAsDeclared()
}

// emitAsDeclared: what a worker has emitted in the run is what it declares to emit.
func (h *environment) emitAsDeclared() {
	h.Helper()
	for _, w := range workers.Standard(workers.Config{}) {
		var emitted []event.Type
		raw := storetest.Value[[]byte](h, h.database, `SELECT coalesce(json_agg(DISTINCT type), '[]') FROM event_log WHERE body::jsonb -> 'metadata' ->> 'source' = '`+w.Name()+`'
			AND body::jsonb -> 'metadata' ->> 'userId' IS NULL`) // a person's decision is a command's
		if err := json.Unmarshal(raw, &emitted); err != nil {
			h.Fatal(err)
		}
		declared := slices.Sorted(slices.Values(w.Emits))
		if slices.Sort(emitted); !slices.Equal(emitted, declared) {
			h.Errorf("%s emits %v, and declares %v", w.Name(), emitted, declared)
		}
	}
}

// emitted are the events of the log by type and version, one for each set of fields, without what differs from run to
// run.
func (h *environment) emitted() map[string][]string {
	h.Helper()
	var bodies []string
	if err := json.Unmarshal(storetest.Value[[]byte](h, h.database, `SELECT coalesce(json_agg(body ORDER BY occurred_at, aggregate_id, event_id), '[]') FROM event_log`), &bodies); err != nil {
		h.Fatal(err)
	}
	all, shapes := map[string][]string{}, map[string]bool{}
	for _, body := range bodies {
		e, err := event.Decode([]byte(body))
		if err != nil {
			h.Fatal(err)
		}
		versions := []string{body}
		if event.VersionOf([]byte(body)) != e.Version { // no migration has been started: this is what one would emit
			later, err := event.Encode(e.Envelope, e.Payload)
			if err != nil {
				h.Fatal(err)
			}
			versions = append(versions, string(later.Body))
		}
		for _, body := range versions {
			name := contract.Name(e.Type, event.VersionOf([]byte(body)))
			var v any
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				h.Fatal(err)
			}
			if shape := name + fmt.Sprint(shapeOf(v)); !shapes[shape] {
				shapes[shape] = true
				all[name] = append(all[name], steady(body))
			}
		}
	}
	return all
}

// shapeOf are the paths of a JSON value.
func shapeOf(v any) []string {
	var paths []string
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			paths = append(paths, k)
			for _, p := range shapeOf(v[k]) {
				paths = append(paths, k+"."+p)
			}
		}
	case []any:
		for _, item := range v {
			paths = append(paths, shapeOf(item)...)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

var traceparent = regexp.MustCompile(`00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]`)

// steady replaces moments near now, random ids and traces.
func steady(body string) string {
	body = moment.ReplaceAllStringFunc(body, func(s string) string {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil || time.Since(at).Abs() > 48*time.Hour {
			return s
		}
		return "2026-02-09T12:00:00Z"
	})
	body = traceparent.ReplaceAllString(body, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	return randomID.ReplaceAllStringFunc(body, func(s string) string {
		if strings.HasPrefix(s, "6f1de001-") {
			return s
		}
		return uuid.NewSHA1(uuid.NameSpaceOID, []byte("golden")).String()
	})
}
