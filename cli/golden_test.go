package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/cli"
	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/seal"
	"github.com/composerp/composerp/store/storetest"
)

// goldenLine is a command line whose output is held against files: testdata/output/NAME.json
// with -o json, NAME.txt without. A command that shows data has at least one here.
type goldenLine struct {
	command string
	args    []string
	as      string   // the files' name, where a command has several
	code    int      // the exit code
	mask    []string // JSON keys whose values differ from run to run
	noTable bool     // its table has such values too, or another golden
	drop    []string // JSON keys that are left out: exchange/audit tests what each worker has done
	only    string   // of lists, what speaks of this: the fleet grows, and what a worker has is golden elsewhere
	before  func()   // makes what those before it are not to see
}

// replayMask are what differs from one run of a replay to the next.
var replayMask = []string{"askedAt", "operator", "name", "first", "last", "at", "bytes", "movedAt", "endedAt"}

// goldens run in this order, in one environment whose fleet has handled what goldenSeed says.
func goldens(h *environment) []goldenLine {
	sales := h.file("sales.csv", "id,item,units,amount,at\nS8,85123A,2,12.5,2026-02-10T09:00:00Z\nV9,85123A,1,5,2026-02-10T10:00:00Z\n")
	mapping := h.file("sales.yaml", goldenMapping)
	secrets := h.file("ledger.secrets", "AMQP_URL_WORKER_LEDGER=amqp://ours:x@mq/composerp\nMANAGEMENT_URL_MONITORING=http://composerp-monitoring:x@mq:15672\n")
	return slices.Concat([]goldenLine{
		// The audit waits until all of it is handled.
		{command: "audit", mask: []string{"count", "elapsedMs", "fresh", "provenUpTo"}, drop: []string{"consumers"}, noTable: true},
		{command: "republish", args: []string{"--dry-run", "--now", "--consumer", "ledger"}, mask: []string{"beyond", "elapsedMs", "upto"}},
		{command: "replay", args: []string{"--dry-run", "--queue", "ledger"}},
		{command: "replay", as: "replay_file", args: []string{"--file", h.dir + "/replayed.ndjson", "--type", "SALE_COMPLETED", "--reason", "analytics"}, mask: replayMask, noTable: true},
		{command: "replay list", mask: replayMask, noTable: true},
		{command: "replay show", args: []string{"1"}, mask: replayMask, noTable: true},
		{command: "replay resume", args: []string{"1"}, mask: replayMask, noTable: true, before: func() {
			storetest.Exec(h, h.database, `UPDATE replay SET state = 'interrupted'`)
		}},
		{command: "replay cancel", args: []string{"1"}, mask: replayMask, noTable: true, before: func() {
			storetest.Exec(h, h.database, `UPDATE replay SET state = 'interrupted'`)
		}},
		{command: "events trace", args: []string{"S2"}, mask: []string{"seq", "loggedAt"}},
		{command: "events show", args: []string{"0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a22"}, mask: []string{"seq", "loggedAt"}, noTable: true},
		{command: "events query", args: []string{"--tenant", "t1", "--where", "payload.quantity == 2.5 || payload.quantity == -2.5"}, mask: []string{"seq", "loggedAt"}, noTable: true},
		{command: "events tail", args: []string{"-n", "1", "--tenant", "t1", "--type", "integration.sale*"}, mask: []string{"seq", "loggedAt"}, noTable: true},
		{command: "events late", before: func() {
			storetest.Exec(h, h.database, `DELETE FROM delivery_delay`)
			// Before the event was logged, so that the total is that of the stages, and of an age that no chore deletes.
			// 4 stages: 1500, 2400000, 900 and 80000 microseconds.
			storetest.Exec(h, h.database, `INSERT INTO delivery_delay (consumer, handled_at, late)
				VALUES ('ledger', clock_timestamp() - interval '1 day', '\x040a3f5c1e8f0b5d0f9a5e0d1f6c1b2a22dc0b80be9201840780f104')`)
		}, mask: []string{"handledAt"}, noTable: true},
		{command: "events explain-delay", args: []string{"0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a22"}, mask: []string{"loggedAt", "handledAt"}, noTable: true},
		{command: "events verify", before: func() { storetest.MustGet(seal.Seal(h.Context(), storetest.Open(h, h.database, 1)))(h) }, mask: []string{"events", "lastSeq", "sealedAt", "seals", "unsealed"}, noTable: true},
		{command: "stream status"},
		{command: "stream enable", args: []string{"--dry-run"}, noTable: true},
		{command: "stream disable", args: []string{"--dry-run"}, noTable: true},
		{command: "version", mask: []string{"go", "version"}, noTable: true},
		{command: "stock"},
		{command: "stock", as: "stock_as_of", args: []string{"--as-of", "2026-02-09T12:30:00Z"}},
		{command: "stock", as: "stock_item", args: []string{"--item", "22423"}},
		// Without rates, which differ from run to run.
		{command: "worker list", args: []string{"--management-url", "http://127.0.0.1:1"}, only: "ledger"},
		{command: "topology show", only: "composerp.ledger"},
		{command: "topology diff"},
		{command: "topology unbind", args: []string{"--dry-run"}, before: func() {
			rabbitmqtest.Bind(h.T, h.broker, topology.BindingSpec{Exchange: topology.Events, Queue: "composerp.intake", RoutingKey: "integration.sale_completed"})
		}},
		{command: "topology diff", as: "topology_diff_extra", code: 2},
		{command: "topology unbind", as: "topology_unbind_done", noTable: true},
		{command: "chaos", as: "chaos_list", args: []string{"--list"}},
		{command: "secrets apply", args: []string{"--dry-run", "--secrets", secrets}, mask: []string{"state"}, noTable: true},
		{command: "migrate status", only: "0001_log"},
		{command: "migrate up"},
		{command: "epoch show", mask: []string{"systemIdentifier"}, noTable: true},
		{command: "epoch begin", mask: []string{"systemIdentifier"}, noTable: true},
		{command: "doctor", mask: []string{"what"}, noTable: true},
		{command: "publish", args: []string{"STOCK_COUNTED", "--tenant", "t1", "--id", "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a31", "--data",
			`{"countId":"C1","itemId":"22423","locationId":"UK-WH","quantity":40,"timestamp":"2026-02-09T18:00:00Z"}`}},
		{command: "import", args: []string{sales, "--map", mapping}, mask: []string{"elapsedMs", "file", "rejectsFile"}, noTable: true},
	}, contractGoldens(h), masterDataGoldens(h), orderGoldens(h), notificationGoldens(h), forecastGoldens(h), quarantineGoldens(h), letterGoldens(h), misdatedGoldens(h), scaleGoldens(h), laneGoldens(), projectionGoldens(), findingGoldens(h), archiveGoldens(h), erasureGoldens(h), []goldenLine{
		// What those before it have changed.
		{command: "log operator", args: []string{"--limit", "0"}, mask: []string{"operator"}, noTable: true},
	}, whatIfGoldens(h), keyGoldens(h), processGoldens(h))
}

// whatIfGoldens have a vase ordered earlier, of a tenant of its own. The live fleet awaits an order whose goods do
// not come.
func whatIfGoldens(h *environment) []goldenLine {
	rules := h.file("earlier.csv", "itemId,locationId,reorderPoint\nvase,SHOP,6\n")
	sold := func(id, quantity, day string) {
		h.ok("publish", "SALE_COMPLETED", "--tenant", "t9", "--data", `{"saleId":"`+id+`","itemId":"vase","locationId":"SHOP","quantity":`+quantity+`,"amount":9,"timestamp":"`+day+`T10:00:00Z"}`)
	}
	sell := func() {
		h.ok("supplier", "set", "--tenant", "t9", "--supplier", "pots", "--lead-time-days", "2")
		h.ok("item", "set", "--tenant", "t9", "--item", "vase", "--unit-cost", "4")
		h.ok("rule", "set", "--tenant", "t9", "--item", "vase", "--location", "SHOP", "--supplier", "pots", "--reorder-point", "2", "--order-up-to", "10", "--low-stock-threshold", "3")
		h.ok("publish", "STOCK_COUNTED", "--tenant", "t9", "--data", `{"countId":"C9","itemId":"vase","locationId":"SHOP","quantity":10,"timestamp":"2026-03-02T10:00:00Z"}`)
		sold("S91", "5", "2026-03-03")
		sold("S92", "4", "2026-03-04")
		sold("S93", "3", "2026-03-05")
		sold("S94", "1", "2026-03-07")
		h.until("the sales are handled", func() bool {
			return storetest.Value[int](h, h.database, `SELECT count(*) FROM replenishment_state WHERE tenant_id = 't9' AND on_hand = -3`) == 1
		})
	}
	return []goldenLine{
		{command: "whatif", as: "whatif_dry_run", args: []string{"--tenant", "t9", "--from", "2026-03-01", "--rule", rules, "--dry-run"}, before: sell},
		{command: "whatif", args: []string{"--tenant", "t9", "--from", "2026-03-01", "--rule", rules}},
	}
}

// contractGoldens show two types, and hold the receipts of the seed to the schema.
func contractGoldens(h *environment) []goldenLine {
	proposed := h.file("proposed.json", `{"type": "object", "required": ["itemId"], "properties": {"itemId": {"type": "string"}}}`)
	return []goldenLine{
		{command: "contracts list", only: "INVENTORY_UPDATED"},
		{command: "contracts show", args: []string{"INVENTORY_LOW_STOCK"}},
		{command: "contracts check"},
		{command: "contracts check", as: "contracts_check_refused", args: []string{"--type", "LOT_EXPIRING", "--schema", proposed}, code: 2},
		{command: "contracts check", as: "contracts_check_log", args: []string{"--log", "--type", "RECEIPT_COMPLETED"}},
		{command: "contracts diff"},
		{command: "contracts migrate", args: []string{"INVENTORY_UPDATED", "--status"}, mask: []string{"waiting"}, noTable: true},
		{command: "contracts ready", args: []string{"billing", "--type", "INVENTORY_UPDATED", "--version", "2.0"}, mask: []string{"updatedBy"}, noTable: true},
		{command: "flow", only: "LOT_EXPIRING"},
	}
}

// misdatedGoldens show a receipt as if a till's clock had been years ahead.
func misdatedGoldens(h *environment) []goldenLine {
	ahead := func() {
		storetest.Exec(h, h.database, `INSERT INTO misdated_movement (event_id, line, position_id, occurred_at)
			SELECT event_id, line, position_id, '2062-03-15T10:00:00Z' FROM movement WHERE event_id = '0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a21'`)
	}
	return []goldenLine{
		{command: "misdated list", before: ahead},
		{command: "misdated correct", args: []string{"--timestamp", "2026-02-08T08:00:00Z", "--dry-run"}},
	}
}

// scaleGoldens scale a worker; ids of nodes differ.
func scaleGoldens(h *environment) []goldenLine {
	by := []string{"--operator", "ann", "--reason", "stock take"}
	return []goldenLine{
		{command: "scale", args: append([]string{"ledger=2", "--max-per-node", "4", "--wait"}, by...)},
		{command: "scale", as: "scale_dry_run", args: []string{"ledger=400", "--max-per-node", "3", "--dry-run"}},
		{command: "worker describe", args: []string{"ledger"}, mask: []string{"node"}, noTable: true},
		{command: "worker drain", args: append([]string{h.node(), "--undo"}, by...), mask: []string{"node"}, noTable: true},
		{command: "worker pause", args: append([]string{"alert", "--wait"}, by...), noTable: true},
		{command: "worker resume", args: append([]string{"alert", "--wait"}, by...), noTable: true},
		{command: "limit", args: append([]string{"https://supplier.example/orders", "2", "--force"}, by...)},
		// From a number of slots: what the autoscaler makes of those that the flags give depends on when it looks.
		{command: "autoscale set", args: append([]string{"forecasting", "--min", "1", "--max", "4", "--drain", "30s"}, by...),
			before: func() { h.ok(append([]string{"scale", "forecasting=1"}, by...)...) }},
		{command: "autoscale explain", args: []string{"forecasting"}, noTable: true, before: h.decided,
			mask: []string{"at", "desired", "from", "wanted", "peak", "arrivals", "depth", "rate", "bound", "hold", "nextMoveSeconds", "fixedSeconds", "eachSeconds", "batches"}},
		{command: "autoscale backtest", args: []string{"forecasting"}, noTable: true,
			mask: []string{"messages", "left", "again", "slotHours", "wait50Seconds", "wait99Seconds", "waitMaxSeconds", "peak", "moves", "reversals"}},
		{command: "top", args: []string{"--once", "--management-url", "http://127.0.0.1:1"}, noTable: true, only: "ledger",
			mask: []string{"node", "version", "silentSeconds", "slots", "relay", "unpublished", "behindSeconds"}},
		{command: "autoscale off", args: append([]string{"forecasting"}, by...), mask: []string{"desired"}, noTable: true},
		{command: "autoscale set", as: "autoscale_set_flags", args: append([]string{"analytics", "--max", "1"}, by...), noTable: true},
	}
}

// projectionGoldens rebuild, compare and switch a read model, go back, and leave nothing.
func projectionGoldens() []goldenLine {
	by := []string{"--operator", "ann", "--reason", "new columns"}
	mask := []string{"rebuildBeganAt", "rebuildMovedAt", "rebuildEvents", "rebuildBehind", "switchedAt", "rows"}
	return []goldenLine{
		{command: "projections rebuild", args: append([]string{"stockview"}, by...), mask: mask, noTable: true},
		{command: "projections diff", args: []string{"stockview"}, mask: []string{"tick", "same"}, noTable: true},
		{command: "projections switch", args: append([]string{"stockview"}, by...), mask: mask, noTable: true},
		{command: "projections back", args: append([]string{"stockview"}, by...), mask: mask, noTable: true},
		{command: "projections drop-old", args: append([]string{"stockview"}, by...), mask: mask, noTable: true},
		{command: "projections rebuild", as: "projections_rebuild_positions", args: append([]string{"positions"}, by...), mask: mask, noTable: true},
		{command: "projections diff", as: "projections_diff_positions", args: []string{"positions"}, mask: []string{"tick", "same"}, noTable: true},
		{command: "projections cancel", args: append([]string{"positions"}, by...), mask: mask, noTable: true},
		{command: "projections list", mask: mask, noTable: true},
		{command: "shadow", args: []string{"approval", "--for", "1s", "--window", "1s"}, mask: []string{"windows", "copiedRows", "copyMs", "elapsedMs"}, noTable: true},
	}
}

// laneGoldens divide a queue into lanes, and make it whole again.
func laneGoldens() []goldenLine {
	by := []string{"--operator", "ann", "--reason", "order"}
	return []goldenLine{
		{command: "lanes set", as: "lanes_set_dry_run", args: append([]string{"stockview", "4", "--dry-run"}, by...)},
		{command: "lanes set", args: append([]string{"stockview", "4", "--wait"}, by...), noTable: true},
		{command: "lanes list"},
		{command: "lanes describe", args: []string{"stockview"}, mask: []string{"node", "since"}, noTable: true},
		{command: "topology diff", as: "topology_diff_lanes"},
		{command: "lanes set", as: "lanes_set_off", args: append([]string{"stockview", "off", "--wait"}, by...), noTable: true},
	}
}

// decided waits for a decision of the autoscaler.
func (h *environment) decided() {
	h.until("the autoscaler has decided", func() bool { return storetest.Value[int](h, h.database, `SELECT count(*) FROM scale_decision`) > 0 })
}

// node is the id of the one node that is up.
func (h *environment) node() string {
	h.Helper()
	var nodes []struct{ Node string }
	if err := json.Unmarshal([]byte(h.ok("worker", "list", "--nodes", "-o", "json").out), &nodes); err != nil || len(nodes) != 1 {
		h.Fatalf("want one node, got %+v, %v", nodes, err)
	}
	return nodes[0].Node
}

// findingGoldens show a transfer that brought more than was sent.
func keyGoldens(h *environment) []goldenLine {
	mask := []string{"createdAt", "expiresAt", "revokedAt", "id", "key", "createdBy"}
	key := func() {
		storetest.Exec(h, h.database, `INSERT INTO api_key (id, tenant_id, source, types, may_read, secret_sha256, created_by, created_at)
			VALUES ('0a3f5c1e8f0b5d0f', 't1', 'till-7', '{SALE_COMPLETED}', true, sha256('x'), 'ann', '2026-02-09T12:00:00Z')`)
	}
	return []goldenLine{
		{command: "keys list", before: key},
		{command: "keys expire", args: []string{"0a3f5c1e8f0b5d0f", "--after", "12h"}, mask: mask, noTable: true},
		{command: "keys revoke", args: []string{"0a3f5c1e8f0b5d0f"}, mask: mask, noTable: true},
		{command: "keys create", args: []string{"--tenant", "t1", "--source", "till-7", "--types", "SALE_COMPLETED", "--expires", "400d"}, mask: mask, noTable: true},
	}
}

func findingGoldens(h *environment) []goldenLine {
	surplus := func() {
		storetest.Exec(h, h.database, `INSERT INTO replenishment_state (tenant_id, item_id, location_id, latest_at) VALUES ('t8', 'cup', 'LON', '2026-02-09T12:00:00Z')`)
		storetest.Exec(h, h.database, `INSERT INTO transfer (tenant_id, item_id, transfer_id, location_id, sent, received, sent_at, received_at)
			VALUES ('t8', 'cup', 'T-81', 'LON', 5, 6, '2026-02-08T12:00:00Z', '2026-02-09T12:00:00Z')`)
	}
	return []goldenLine{
		{command: "finding list", before: surplus},
		{command: "finding acknowledge", args: []string{"5595574d4eb8", "--reason", "counted, and booked as found", "--operator", "ann"}},
	}
}

const goldenMapping = `
tenant: t1
source: pos
timestamp: ${at}
rules:
  - when:
      id: {prefix: V}
    reject: voucher
  - event: SALE_COMPLETED
    aggregateId: ${id}
    payload: {saleId: "${id}", itemId: "${item}", locationId: UK-WH, quantity: "${units}", amount: "${amount}"}
`

// goldenSeed are the command lines that make what is shown.
var goldenSeed = [][]string{
	{"publish", "RECEIPT_COMPLETED", "--tenant", "t1", "--id", "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a21", "--data",
		`{"receiptId":"R1","itemId":"85123A","locationId":"UK-WH","quantity":24,"lotNumber":"L7","expiryDate":"2026-09-30","timestamp":"2026-02-08T08:00:00Z"}`},
	{"publish", "SALE_COMPLETED", "--tenant", "t1", "--id", "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a22", "--data",
		`{"saleId":"S1","itemId":"85123A","locationId":"UK-WH","quantity":2.5,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}`},
	{"publish", "SALE_COMPLETED", "--tenant", "t1", "--id", "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a23", "--data",
		`{"saleId":"S2","itemId":"22423","locationId":"UK-SHOP","quantity":3,"amount":36.9,"timestamp":"2026-02-09T13:00:00Z"}`},
}

func TestGoldenOutputOfEveryCommand(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.up()
	for _, line := range goldenSeed {
		h.ok(line...)
	}
	const folder = "testdata/output"
	known, shown := map[string]bool{}, map[string]bool{}
	for _, g := range goldens(h) {
		shown[g.command] = true
		if g.before != nil {
			g.before()
		}
		name := g.as
		if name == "" {
			name = strings.ReplaceAll(g.command, " ", "_")
		}
		line := append(strings.Fields(g.command), g.args...)
		compare := func(file string, out result) {
			known[file] = true
			if out.code != g.code {
				t.Errorf("composerp %s: exit %d, want %d: %s%s", strings.Join(line, " "), out.code, g.code, out.out, out.errors)
				return
			}
			golden.Compare(t, filepath.Join(folder, file), g.masked(t, out.out))
		}
		out := h.run(append(slices.Clone(line), "-o", "json")...)
		if !json.Valid([]byte(out.out)) {
			t.Errorf("composerp %s -o json shows no JSON: %s%s", strings.Join(line, " "), out.out, out.errors)
			continue
		}
		compare(name+".json", out)
		if !g.noTable {
			compare(name+".txt", h.run(line...))
		}
	}
	for _, command := range cli.Shows() {
		why, excused := noGolden[command]
		if !shown[command] && !excused {
			t.Errorf("`composerp %s` has -o json and no golden: add it to goldens, with what it shows to goldenSeed, and go test ./cli -run Golden -update", command)
		}
		if shown[command] && excused {
			t.Errorf("`composerp %s` has a golden, and noGolden still excuses it: %s", command, why)
		}
	}
	golden.NoOthers(t, folder, known)
}

// noGolden are the commands that are excused, because they take minutes; TestGoldenShapes has the shape of what they
// show.
var noGolden = map[string]string{
	"bench": "it measures",
	"demo":  "it is an `up` of its own",
}

func (h *environment) file(name, content string) string {
	h.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.Fatal(err)
	}
	return path
}

var (
	moment   = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`)
	randomID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// masked replaces what is another at each run: moments near now, random ids and
// the values of keys that the golden names; and cuts lists to what it is about.
func (g goldenLine) masked(t *testing.T, text string) string {
	if g.only != "" || g.drop != nil {
		text = g.cut(t, text)
	}
	text = moment.ReplaceAllStringFunc(text, func(s string) string {
		at, err := time.Parse("2006-01-02T15:04:05", strings.Replace(s[:19], " ", "T", 1))
		if err != nil || time.Since(at).Abs() > 48*time.Hour {
			return s
		}
		return "<now>"
	})
	text = randomID.ReplaceAllString(text, "<random>")
	for _, key := range g.mask {
		text = regexp.MustCompile(`("`+key+`": )("[^"]*"|[0-9.]+)`).ReplaceAllString(text, `$1"<`+key+`>"`)
	}
	return text
}

// cut keeps of a JSON's lists, and of a table's lines below a heading, what speaks of g.only.
func (g goldenLine) cut(t *testing.T, text string) string {
	var data any
	if json.Unmarshal([]byte(text), &data) != nil {
		lines := strings.SplitAfter(text, "\n")
		return strings.Join(slices.DeleteFunc(lines, func(line string) bool {
			return !strings.Contains(line, g.only) && strings.ToUpper(line) != line
		}), "")
	}
	cut, err := json.MarshalIndent(g.cutLists(data), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(cut) + "\n"
}

func (g goldenLine) cutLists(data any) any {
	switch d := data.(type) {
	case map[string]any:
		for k, v := range d {
			d[k] = g.cutLists(v)
		}
		for _, k := range g.drop {
			delete(d, k)
		}
	case []any:
		return slices.DeleteFunc(d, func(one any) bool {
			raw, err := json.Marshal(one)
			_, isObject := one.(map[string]any)
			return err == nil && isObject && !strings.Contains(string(raw), g.only)
		})
	}
	return data
}
