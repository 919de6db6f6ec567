package workers_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// compareJSON compares a value with its golden file.
func compareJSON(t *testing.T, file string, value any) {
	t.Helper()
	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, file, string(got)+"\n")
}

// The topology follows from the subscriptions, and from nothing else. A change of
// the golden file is a change of a running broker: see package topology.
func TestTheFleetsTopologyIsGolden(t *testing.T) {
	t.Parallel()
	compareJSON(t, "testdata/topology.json", workers.Topology())
}

// An event type that loses its consumer is published for nothing.
func TestTheConsumersAreGolden(t *testing.T) {
	t.Parallel()
	consumers := map[event.Type][]string{}
	for _, typ := range event.Types() {
		consumers[typ] = []string{}
	}
	for _, w := range workers.Fleet(workers.Config{}) {
		for _, typ := range w.Types() {
			consumers[typ] = append(consumers[typ], w.Name())
			slices.Sort(consumers[typ])
		}
	}
	compareJSON(t, "testdata/consumers.json", consumers)
}

// The audit expects rows in the inbox of these workers, and of no others.
func TestTheTrackedWorkersAreGolden(t *testing.T) {
	t.Parallel()
	compareJSON(t, "testdata/tracked.json", workers.TrackedNames())
}

// A package without its line in the registry is a worker that never runs.
func TestEveryWorkerIsInTheRegistry(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(slices.Values(workers.Names()))
	sources, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var packages []string
	for _, source := range sources {
		if name := filepath.Dir(source); name != "worker" && !slices.Contains(packages, name) {
			packages = append(packages, name)
		}
	}
	if len(packages) == 0 || !slices.Equal(names, packages) {
		t.Errorf("the registry has %v, the packages are %v", names, packages)
	}
}

// No event moves a calendar by more than the bound of business time: one that got past admission, dated decades ahead,
// is rejected by every worker that decides by it, and leaves no day begun, no run due, no count, no order.
func TestNoEventMovesACalendarTooFar(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	tried := 0
	for _, w := range workers.Fleet(workers.Config{}) {
		if !w.TracksInbox() {
			continue
		}
		for _, typ := range w.Types() {
			body, err := os.ReadFile(filepath.Join("../exchange/event/testdata", string(typ)+".json"))
			if err != nil {
				t.Fatal(err)
			}
			e, err := event.Decode(body)
			if err != nil {
				t.Fatal(err)
			}
			e.Timestamp = time.Date(2262, 3, 15, 12, 0, 0, 0, time.UTC)
			if e, err = event.Encode(e.Envelope, e.Payload); err != nil {
				t.Fatal(err)
			}
			e.LogSeq = 7
			if _, err := workertest.Handle(t, db, w, e); !errors.Is(err, worker.ErrRejected) || !errors.Is(err, eventlog.ErrBusinessTime) {
				t.Errorf("%s takes a %s of 2262: %v", w.Name(), typ, err)
			}
			tried++
		}
	}
	if tried < 20 {
		t.Errorf("only %d were tried", tried)
	}
	for _, table := range []string{"inbox", "movement", "position", "demand", "demand_calendar", "forecast_run", "forecast", "lot_day", "lot_expiring", "replenishment_state", "purchase_order", "stock", "event_log"} {
		if n := storetest.Value[int](t, url, `SELECT count(*) FROM `+table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
}
