package intake_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/intake"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestWhatCameStraightOverAMQPIsLoggedOnce(t *testing.T) {
	t.Parallel()
	sale := func() event.Any { return workertest.Sale(t, "cup", "shop", "1") }
	fresh, through, outside := sale(), sale(), sale()
	for name, c := range map[string]struct {
		admitted []event.Any                                    // in the log, and to be published, before
		consumed func(at func(event.Any) event.Any) []event.Any // at gives an event the place it has in the log
		rejected bool
		logged   int // in the log after
		foreign  int // of them those that are on the exchange already
	}{
		"new":                     {consumed: func(func(event.Any) event.Any) []event.Any { return []event.Any{fresh} }, logged: 1, foreign: 1},
		"new, twice in one batch": {consumed: func(func(event.Any) event.Any) []event.Any { return []event.Any{fresh, fresh} }, logged: 1, foreign: 1},
		"through the log": {admitted: []event.Any{through},
			consumed: func(at func(event.Any) event.Any) []event.Any { return []event.Any{at(through)} }, logged: 1},
		"an external publisher's copy of what is in the log": {admitted: []event.Any{outside},
			consumed: func(func(event.Any) event.Any) []event.Any { return []event.Any{outside} }, logged: 1},
		"both at once": {admitted: []event.Any{through},
			consumed: func(at func(event.Any) event.Any) []event.Any { return []event.Any{at(through), through, fresh} }, logged: 2, foreign: 1},
		"another body": {admitted: []event.Any{through},
			consumed: func(func(event.Any) event.Any) []event.Any { return []event.Any{fresh, otherBody(t, through)} }, rejected: true, logged: 1},
		"another body beside the original": {admitted: []event.Any{through},
			consumed: func(at func(event.Any) event.Any) []event.Any { return []event.Any{at(through), otherBody(t, through)} }, rejected: true, logged: 1},
		"two bodies of a new one": {
			consumed: func(func(event.Any) event.Any) []event.Any { return []event.Any{fresh, otherBody(t, fresh)} }, rejected: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.URL(t)
			db := storetest.Open(t, url, 2)
			if _, err := eventlog.AdmitOnce(t.Context(), db, c.admitted, true); err != nil {
				t.Fatal(err)
			}
			at := func(e event.Any) event.Any {
				e.LogSeq = storetest.Value[int64](t, url, `SELECT seq FROM event_log WHERE event_id = $1`, e.ID)
				return e
			}
			events := c.consumed(at)
			for range 2 { // a second delivery changes nothing
				said, err := workertest.Handle(t, db, intake.New(), events...)
				if errors.Is(err, worker.ErrRejected) != c.rejected || !c.rejected && err != nil || len(said) != 0 {
					t.Errorf("want rejected: %t, got %v, and %d events", c.rejected, err, len(said))
				}
			}
			if n := storetest.Value[int](t, url, `SELECT count(*) FROM event_log`); n != c.logged {
				t.Errorf("want %d events in the log, got %d", c.logged, n)
			}
			if n := storetest.Value[int](t, url, `SELECT count(*) FROM event_log WHERE NOT publish`); n != c.foreign {
				t.Errorf("want %d of them not to be published again, got %d", c.foreign, n)
			}
		})
	}
}

// otherBody is another event under the same id.
func otherBody(t *testing.T, e event.Any) event.Any {
	t.Helper()
	return workertest.Event(t, event.SaleCompleted{
		SaleID: "another", ItemID: "cup", LocationID: "shop", Quantity: workertest.Decimal("2"), Amount: workertest.Decimal("2"), Timestamp: workertest.Day,
	}, workertest.WithID(e.ID.String()))
}

// A log position that another user claims, where the log has nothing or another event, does not keep an event out of
// the log, nor its schema from being checked.
func TestAForgedPositionChangesNothing(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 1)
	d := workertest.Delivery(workertest.Sale(t, "cup", "shop", "1"))
	for range 2 {
		d.Headers = map[string]any{rabbitmq.HeaderLogSeq: int64(1)}
		if _, err := workertest.Deliver(t, db, intake.New(), d); err != nil {
			t.Fatal(err)
		}
		if n := storetest.Value[int](t, url, `SELECT count(*) FROM event_log`); n != 1 {
			t.Errorf("want it in the log, got %d events", n)
		}
	}
	d.Body = []byte(strings.Replace(string(d.Body), `"quantity":1`, `"quantity":0`, 1))
	for _, place := range []int64{7, -7} {
		d.Headers = map[string]any{rabbitmq.HeaderLogSeq: place}
		_, err := workertest.Deliver(t, db, intake.New(), d)
		if !errors.Is(err, worker.ErrRejected) || !strings.Contains(err.Error(), "payload.quantity") {
			t.Errorf("place %d: want a rejection that names the quantity, got %v", place, err)
		}
	}
	if n := storetest.Value[int](t, url, `SELECT count(*) FROM event_log`); n != 1 {
		t.Errorf("want nothing more in the log, got %d", n-1)
	}
}

func TestItConsumesAllExternalTypes(t *testing.T) {
	t.Parallel()
	consumed := map[event.Type]bool{}
	for _, typ := range intake.New().Types() {
		consumed[typ] = true
	}
	for _, typ := range event.Types() {
		if d, _ := event.Lookup(typ); d.Outside != consumed[typ] {
			t.Errorf("%s: from external publishers: %t, consumed: %t", typ, d.Outside, consumed[typ])
		}
	}
}
