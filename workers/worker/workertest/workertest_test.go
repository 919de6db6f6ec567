package workertest_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// TestWatchman is the example's test, run.
func TestWatchman(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 1)
	small, large := workertest.Sale(t, "cup", "shop", "2"), workertest.Sale(t, "cup", "shop", "101")
	emitted, err := workertest.Handle(t, db, newWatchman(), small, large, large)
	if err != nil {
		t.Fatal(err)
	}
	if len(emitted) != 1 || emitted[0].Metadata.CausationID != large.ID.String() {
		t.Errorf("want one warning, of the large sale, got %d", len(emitted))
	}
	if logged := storetest.Value[int](t, url, `SELECT count(*) FROM event_log WHERE publish`); logged != 1 {
		t.Errorf("want one event in the log, got %d", logged)
	}
	if again, err := workertest.Handle(t, db, newWatchman(), large); err != nil || len(again) != 0 {
		t.Errorf("want the large sale to be known, got %d events and %v", len(again), err)
	}
}

func TestCallsAreMadeOneByOne(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	var called []string
	w := worker.New("caller", worker.OnCall(func(_ context.Context, e event.Of[event.SaleCompleted]) (worker.Record, error) {
		called = append(called, e.Payload.ItemID)
		return func(ctx context.Context, tx *worker.Tx) error { return warnOfLargeSales(ctx, tx, e) }, nil
	}))
	cup, saucer := workertest.Sale(t, "cup", "shop", "101"), workertest.Sale(t, "saucer", "shop", "102")
	emitted, err := workertest.Handle(t, db, w, cup, saucer, cup)
	if err != nil || len(emitted) != 2 || !slices.Equal(called, []string{"cup", "saucer"}) {
		t.Errorf("want two calls and their records, got %v, %d events, %v", called, len(emitted), err)
	}
	if emitted, err := workertest.Handle(t, db, w); err != nil || len(emitted) != 0 {
		t.Errorf("want nothing of nothing, got %d events, %v", len(emitted), err)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	sale := workertest.Delivery(workertest.Sale(t, "cup", "shop", "2"))
	mislabelled, unconsumed := sale, workertest.Delivery(workertest.Count(t, "cup", "shop", "2"))
	mislabelled.Type = "STOCK_COUNTED"
	for name, d := range map[string]rabbitmq.Delivery{
		"no JSON": {Message: rabbitmq.Message{Body: []byte("{")}}, "another type property": mislabelled, "a type it does not consume": unconsumed,
	} {
		if _, err := workertest.Deliver(t, db, newWatchman(), d); !errors.Is(err, worker.ErrRejected) {
			t.Errorf("%s: want a rejection, got %v", name, err)
		}
	}
}
