package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store/storetest"
)

// scaledRow is a line of `worker list -o json`.
type scaledRow struct {
	Worker, Mode, Why string
	Desired, Running  *int
}

// scaled is what `worker list` shows of a worker.
func (h *environment) scaled(worker string) scaledRow {
	h.Helper()
	var rows []scaledRow
	if err := json.Unmarshal([]byte(h.ok("worker", "list", "-o", "json").out), &rows); err != nil {
		h.Fatal(err)
	}
	for _, r := range rows {
		if r.Worker == worker {
			return r
		}
	}
	h.Fatalf("worker list has no %s: %+v", worker, rows)
	return scaledRow{}
}

// slots is how many slots of the ledger a node runs, "" for all living nodes, by what they report.
func (h *environment) slots(node string) int {
	h.Helper()
	return storetest.Value[int](h, h.database, `
SELECT coalesce(sum(running), 0) FROM worker_report JOIN worker_node n ON n.id = node
WHERE queue = 'ledger' AND lease_until > clock_timestamp() AND ($1 = '' OR node = $1)`, node)
}

// The real till is imported while the ledger's slots go 1 → 8 → 2 → 5 over two processes. One is killed: its slots
// are taken over within 20 s, and every total is right.
func TestRealSalesWhileSlotsComeAndGo(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sold := realTill(t, h.dir, realRowsWanted())
	f := h.up()
	second := h.part("metrics at", "worker", "run", "ledger", "lots")
	imported := make(chan struct{})
	go func() { defer close(imported); h.importFile(sold.path) }()
	for _, slots := range []string{"1", "8"} {
		h.ok("scale", "ledger="+slots, "--wait")
	}
	victim := storetest.Value[string](t, h.database, `SELECT node FROM worker_assignment WHERE queue = 'ledger' AND node LIKE '%#' || $1`, second.cmd.Process.Pid)
	if n := h.slots(victim); n != 4 {
		t.Errorf("of 8 slots %d run on the second node", n)
	}
	second.kill(t)
	killed := time.Now()
	h.until("the killed node's slots are taken over", func() bool { return h.slots(victim) == 0 && h.slots("") == 8 })
	if took := time.Since(killed); took > localtest.Deadline(20*time.Second) {
		t.Errorf("its slots were taken over after %s", took)
	} else {
		t.Logf("its slots were taken over after %s", took)
	}
	for _, slots := range []string{"2", "5"} {
		h.ok("scale", "ledger="+slots, "--wait")
	}
	<-imported
	h.proven()
	h.sells(sold)
	f.stop(t)
}

func TestScale(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.up("--max-slots", "16", "--labels", "zone=north")
	began := time.Now()
	h.ok("scale", "ledger=3", "lots=2", "--wait", "--reason", "stock take")
	if took := time.Since(began); took > localtest.Deadline(2*time.Second) {
		t.Errorf("on an idle fleet it took %s", took)
	}
	if r := h.scaled("ledger"); r.Mode != "manual" || *r.Desired != 3 || *r.Running != 3 || !strings.Contains(r.Why, "stock take") {
		t.Errorf("scaled to 3 the ledger is %+v", r)
	}
	// 12 workers with one slot, one of them with 3 and one with 2: 15 of 16.
	r := h.run("scale", "ledger=5", "--wait")
	if why := h.scaled("ledger").Why; r.code != 2 || !strings.Contains(r.out, "1 of 5 have no place: the nodes are full") || !strings.Contains(why, "1 of 5") {
		t.Errorf("beyond --max-slots: exit %d, %s, then %q", r.code, r.out, why)
	}
	h.ok("scale", "ledger=1", "--on", "zone=south", "--wait=false")
	h.until("it has no place", func() bool { return strings.Contains(h.scaled("ledger").Why, "labels [zone=south]") })
	h.ok("scale", "ledger=2", "--on", "zone=north", "--wait")
	h.ok("worker", "pause", "ledger", "--wait")
	if r := h.scaled("ledger"); r.Mode != "paused" || *r.Running != 0 {
		t.Errorf("paused it is %+v", r)
	}
	h.ok("worker", "resume", "ledger", "--wait")
	node := h.node()
	if r := h.run("worker", "drain", node, "--wait"); r.code != 0 || !strings.Contains(r.errors, "no other node runs ledger") || h.slots(node) != 0 {
		t.Errorf("drained: exit %d, %s, %d slots", r.code, r.errors, h.slots(node))
	}
	h.ok("worker", "drain", "--undo", node, "--wait")
	if n := h.slots(node); n != 2 {
		t.Errorf("after the drain was undone %d slots run", n)
	}
	h.ok("scale", "ledger=flags", "--wait")
	if r := h.scaled("ledger"); r.Mode != "flags" || *r.Running != 1 {
		t.Errorf("given back to the flags it is %+v", r)
	}
	for line, want := range map[string]string{
		"worker drain " + node + "x":                `did you mean "` + node + `"`,
		"worker pause ledger --node nowhere":        "there is no node",
		"scale ledger=2 --on a,,!b":                 "letters, digits",
		"scale ledger=2 --max-per-node -1":          "0 to 1000",
		"up --max-slots 3 --dir elsewhere":          "less than the 12 slots",
		"worker run ledger --slots 8 --max-slots 4": "less than the 8 slots",
		"worker run ledger --max-slots none":        "1 to 1000",
	} {
		if r := h.run(strings.Fields(line)...); r.code != 64 && r.code != 78 || !strings.Contains(r.errors, want) {
			t.Errorf("%s: exit %d, %s", line, r.code, r.errors)
		}
	}
}
