package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	storeledger "github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/worker"
)

// sameWork is a worker that does what the reference's consumer does: one movement and one position a sale.
func sameWork() worker.Worker {
	return worker.New("bench", worker.OnBatch(move, event.TypeSaleCompleted))
}

func move(ctx context.Context, tx *worker.Tx, sales []event.Any) error {
	keys := make([]masterdata.PositionKey, len(sales))
	for i := range sales {
		sale, ok := event.As[event.SaleCompleted](sales[i])
		if !ok {
			return worker.Reject(fmt.Errorf("event %s is not a sale", sales[i].ID))
		}
		keys[i] = masterdata.PositionKey{Tenant: sale.TenantID, Item: sale.Payload.ItemID, Location: sale.Payload.LocationID}
	}
	positions, err := storeledger.LockPositions(ctx, tx, keys, nil)
	if err != nil {
		return err
	}
	movements := make([]storeledger.Movement, len(sales))
	for i := range sales {
		sale, p := sales[i].Payload.(event.SaleCompleted), positions[keys[i]]
		p.OnHand, p.Sequence = p.OnHand.Sub(sale.Quantity), p.Sequence+1
		movements[i] = storeledger.Movement{
			EventID: sales[i].ID, Position: p.ID, Sequence: p.Sequence, Quantity: sale.Quantity.Neg(), OnHand: p.OnHand,
			Type: event.TransactionSale, OccurredAt: sales[i].Timestamp,
		}
	}
	return storeledger.Post(ctx, tx, movements, slices.Collect(maps.Values(positions)))
}

// sink is a queue that gets every update and has no consumer.
const sink = "sink"

// updates has a sink for the ledger's updates, which the relay publishes too.
var updates = []topology.Subscription{{Worker: sink, RoutingKeys: []string{event.TypeInventoryUpdated.RoutingKey()}}}

// ledgerTally is what n sales leave behind the real ledger.
func ledgerTally(n int) tally {
	return tally{Inbox: n, Movements: 2 * n, Distinct: n, Quantity: quantityOf(n), Logged: 2 * n, Updates: n, Sunk: n}
}

// runSameWork measures Composerp doing the reference's work.
func runSameWork(ctx context.Context, s *servers, n int) (Throughput, error) {
	left := tally{Inbox: n + 1, Movements: n + 1, Distinct: n + 1, Quantity: quantityOf(n + 1), Logged: n + 1}
	return runFleet(ctx, s, n+1, items, sameWork(), left, nil, nil, func(ctx context.Context, f *fleet, sales []event.Any) (Throughput, error) {
		return f.measure(ctx, sales, 1)
	})
}

// runLedger measures the real ledger. It emits one update for each sale, which the relay publishes too.
func runLedger(ctx context.Context, s *servers, n int) (Throughput, error) {
	return runFleet(ctx, s, n+1, items, ledger.New(), ledgerTally(n+1), updates, nil, func(ctx context.Context, f *fleet, sales []event.Any) (Throughput, error) {
		return f.measure(ctx, sales, 2)
	})
}

// runFleet measures n sales of some items in a fleet with one worker, and compares the tables with what they must
// leave.
func runFleet[T any](
	ctx context.Context, s *servers, n, of int, w worker.Worker, left tally, subscriptions []topology.Subscription, applied func(),
	measure func(ctx context.Context, f *fleet, sales []event.Any) (T, error),
) (T, error) {
	return inEnvironment(ctx, s, s.template, func(env *environment) (measured T, err error) {
		sales, err := newSales(n, of, opening, time.Millisecond)
		if err != nil {
			return measured, err
		}
		measured, err = withFleet(ctx, env, []worker.Worker{w}, applied, subscriptions, func(ctx context.Context, f *fleet) (T, error) {
			return measure(ctx, f, sales)
		})
		if err != nil {
			return measured, err
		}
		return measured, env.verify(w, left)
	})
}

// measure sends the first sale to warm up, and then all others. published is how many events the relay publishes for
// each sale.
func (f *fleet) measure(ctx context.Context, sales []event.Any, published int) (Throughput, error) {
	if err := f.admit(ctx, sales[:1]); err != nil {
		return Throughput{}, err
	}
	if err := f.await(ctx, 1, published); err != nil {
		return Throughput{}, fmt.Errorf("warming up: %w", err)
	}
	warm, err := f.counts()
	if err != nil {
		return Throughput{}, err
	}
	t, err := f.environment.measure(ctx, len(sales)-1, func() error { return f.admit(ctx, sales[1:]) }, func() (time.Time, error) {
		err := f.await(ctx, len(sales), published*len(sales))
		return time.Now(), err
	})
	if err != nil {
		return t, err
	}
	c, err := f.counts()
	t.Batch = (c.messages - warm.messages) / (c.batches - warm.batches)
	return t, err
}

// The contents of the fleet's tables. Sold goods are counted at the shop's own positions.
const fleetLeft = `
SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM movement), (SELECT count(DISTINCT event_id) FROM movement),
       -(SELECT coalesce(sum(on_hand), 0) FROM position WHERE location_id = $1), (SELECT count(*) FROM event_log),
       (SELECT count(DISTINCT event_id) FROM event_log WHERE type = 'INVENTORY_UPDATED')`

// verify compares tables and queues with what the run must leave.
func (env *environment) verify(w worker.Worker, want tally) error {
	ctx, cancel := cleanUp()
	defer cancel()
	db, err := env.open(1)
	if err != nil {
		return err
	}
	defer db.Close()
	var found tally
	err = db.QueryRowContext(ctx, fleetLeft, location).
		Scan(&found.Inbox, &found.Movements, &found.Distinct, &found.Quantity, &found.Logged, &found.Updates)
	if err != nil {
		return fmt.Errorf("reading the tables: %w", err)
	}
	session, err := rabbitmq.Open(ctx, env.broker)
	if err != nil {
		return err
	}
	defer session.Close()
	if found.Waiting, _, err = session.Depth(w.Queue()); err != nil {
		return err
	}
	if want.Sunk > 0 {
		if found.Sunk, _, err = session.Depth(topology.QueueName(sink)); err != nil {
			return err
		}
	}
	return found.check(want)
}
