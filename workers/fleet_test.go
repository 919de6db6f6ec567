package workers_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
)

var update = flag.Bool("update", false, "write the golden topology anew")

// What the broker holds follows from who hears what, and nothing else. A change
// here is a change of a running broker: see the documentation of package exchange.
func TestTheFleetsTopologyIsGolden(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(workers.Topology(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const golden = "testdata/topology.json"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the topology has changed; if on purpose, go test ./workers -run Golden -update. Now:\n%s", got)
	}
}

// A worker that nobody invited is code that never runs.
func TestEveryRoomIsOnTheGuestList(t *testing.T) {
	t.Parallel()
	var guests, rooms []string
	for _, w := range workers.Fleet(workers.Config{}) {
		guests = append(guests, w.Name())
	}
	sources, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if room := filepath.Dir(source); room != "worker" && !slices.Contains(rooms, room) {
			rooms = append(rooms, room)
		}
	}
	slices.Sort(guests)
	if len(rooms) == 0 || !slices.Equal(guests, rooms) {
		t.Errorf("the guest list is %v, the rooms are %v", guests, rooms)
	}
}

// heardBy is the table of events, as far as the workers of today go. A line that
// loses its worker is an event that is said and not heard.
var heardBy = map[event.Type][]string{
	event.TypeSaleCompleted:          {"intake", "ledger"},
	event.TypeReceiptCompleted:       {"intake", "ledger"},
	event.TypeTransferInitiated:      {"intake", "ledger"},
	event.TypeStockAdjusted:          {"intake", "ledger"},
	event.TypeStockCounted:           {"intake", "ledger"},
	event.TypeInventoryUpdated:       {"forecasting", "lots", "replenishment", "stockview"},
	event.TypeInventoryLowStock:      {"alert", "replenishment", "stockview"},
	event.TypeReplenishmentTriggered: {"stockview"},
	event.TypeForecastGenerated:      {"analytics", "replenishment", "stockview"},
	event.TypeRuleChanged:            {"replenishment"},
	event.TypePurchaseOrderApproved:  {"notification", "procurement", "stockview"},
	event.TypePurchaseOrderCancelled: {"notification", "procurement", "replenishment", "stockview"},
	event.TypeLotExpiring:            {"alert"},
	event.TypePurchaseOrderCreated:   {"approval", "notification", "procurement", "stockview"},
}

func TestWhoHearsWhat(t *testing.T) {
	t.Parallel()
	heard := map[event.Type][]string{}
	for _, w := range workers.Fleet(workers.Config{}) {
		for _, typ := range w.Types() {
			heard[typ] = append(heard[typ], w.Name())
		}
	}
	for _, typ := range event.Types() {
		slices.Sort(heard[typ])
		if !slices.Equal(heard[typ], heardBy[typ]) {
			t.Errorf("%s is heard by %v, want %v", typ, heard[typ], heardBy[typ])
		}
	}
}

// Audit looks in the inbox for what each worker owes: those that keep their own account owe nothing there.
func TestWhoOwes(t *testing.T) {
	t.Parallel()
	owes := map[string]bool{"ledger": true, "stockview": true, "lots": true, "replenishment": true, "approval": true, "procurement": true, "notification": true, "alert": true, "forecasting": true, "analytics": true, "intake": false, "deadletterlog": false}
	for _, w := range workers.Fleet(workers.Config{}) {
		if want, known := owes[w.Name()]; !known || w.Owes() != want {
			t.Errorf("%s owes: %t, want %t", w.Name(), w.Owes(), want)
		}
	}
}
