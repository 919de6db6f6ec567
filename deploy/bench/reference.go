package bench

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/event"
)

// The reference's tables, no more than the work needs.
const referenceTables = `
CREATE TABLE outbox (id bigserial PRIMARY KEY, event_id uuid NOT NULL, routing_key text NOT NULL, body text NOT NULL);
CREATE TABLE inbox (consumer smallint NOT NULL, event_id uuid NOT NULL, PRIMARY KEY (consumer, event_id));
CREATE TABLE movement (id bigserial PRIMARY KEY, event_id uuid NOT NULL, item_id text NOT NULL, quantity numeric NOT NULL);
CREATE TABLE position (item_id text PRIMARY KEY, on_hand numeric NOT NULL) WITH (fillfactor = 60)`

const (
	referenceExchange = "reference.events"
	referenceQueue    = "reference.ledger"
	referenceChannel  = "reference_outbox" // of LISTEN and NOTIFY
	referenceKey      = "integration.sale_completed"

	referenceClaim    = 1000
	referenceWindow   = 1024
	referenceBatch    = 200
	referencePrefetch = 5 * referenceBatch
)

// reference is the bare program that everything is compared with.
type reference struct {
	environment *environment
	db          *sql.DB
	wake        chan struct{} // signalled when the outbox has rows
	done        chan applied  // after each batch
}

// applied is the end of a batch.
type applied struct {
	sales int
	at    time.Time
}

// runReference measures the reference once.
func runReference(ctx context.Context, s *servers, n int) (Throughput, error) {
	return withReference(ctx, s, n+1, items, func(ctx context.Context, r *reference, sales []event.Any) (Throughput, error) {
		if err := r.commit(ctx, sales[:1]); err != nil {
			return Throughput{}, err
		}
		if err := r.await(ctx, 1); err != nil {
			return Throughput{}, err
		}
		return r.environment.measure(ctx, n, func() error { return r.commit(ctx, sales[1:]) }, func() (time.Time, error) {
			err := r.await(ctx, n)
			return time.Now(), err
		})
	})
}

// runIdleReference measures the latency of n sales through the idle reference, as runIdle does the fleet's.
func runIdleReference(ctx context.Context, s *servers, n int) (Latency, error) {
	n += idleWarmUp
	return withReference(ctx, s, n, idleWarmUp, func(ctx context.Context, r *reference, sales []event.Any) (Latency, error) {
		taken, err := oneByOne(ctx, sales, r.commit, r.done)
		if err != nil {
			return Latency{}, err
		}
		return latency(taken[idleWarmUp:]), nil
	})
}

// withReference runs the reference for as long as measure does with n sales of some items, and compares its tables with
// what they must leave.
func withReference[T any](ctx context.Context, s *servers, n, of int, measure func(context.Context, *reference, []event.Any) (T, error)) (T, error) {
	return inEnvironment(ctx, s, "", func(env *environment) (measured T, err error) {
		sales, err := newSales(n, of, opening, time.Millisecond)
		if err != nil {
			return measured, err
		}
		db, err := env.open(3)
		if err != nil {
			return measured, err
		}
		defer db.Close()
		if _, err := db.ExecContext(ctx, referenceTables); err != nil {
			return measured, fmt.Errorf("making the reference's tables: %w", err)
		}
		r := &reference{environment: env, db: db, wake: make(chan struct{}, 1), done: make(chan applied, n)}
		ctx, stop := context.WithCancel(ctx)
		g, ctx := errgroup.WithContext(ctx)
		if err = r.start(ctx, g); err == nil {
			measured, err = measure(ctx, r, sales)
		}
		if err == nil {
			err = r.verify(ctx, n)
		}
		stop()
		return measured, cmp.Or(err, g.Wait())
	})
}

const fillOutbox = `
INSERT INTO outbox (event_id, routing_key, body) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])`

// commit inserts sales into the outbox and wakes the relay, in one transaction, as another process would.
func (r *reference) commit(ctx context.Context, sales []event.Any) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("filling the outbox: %w", err)
	}
	defer tx.Rollback()
	for part := range slices.Chunk(sales, 1000) {
		ids, keys, bodies := make(pq.StringArray, len(part)), make(pq.StringArray, len(part)), make(pq.StringArray, len(part))
		for i := range part {
			ids[i], keys[i], bodies[i] = part[i].ID.String(), referenceKey, string(part[i].Body)
		}
		if _, err := tx.ExecContext(ctx, fillOutbox, ids, keys, bodies); err != nil {
			return fmt.Errorf("filling the outbox: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, `NOTIFY `+referenceChannel); err != nil {
		return fmt.Errorf("waking the relay: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("filling the outbox: %w", err)
	}
	return nil
}

// listen wakes the relay when the outbox has rows.
func (r *reference) listen(ctx context.Context, g *errgroup.Group) error {
	listener := pq.NewListener(r.environment.databaseURL, time.Second, time.Second, nil)
	if err := listener.Listen(referenceChannel); err != nil {
		return errors.Join(fmt.Errorf("listening to the outbox: %w", err), listener.Close())
	}
	g.Go(func() error {
		defer listener.Close()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-listener.Notify:
				select {
				case r.wake <- struct{}{}:
				default:
				}
			}
		}
	})
	return nil
}

// await waits until n more sales have been applied.
func (r *reference) await(ctx context.Context, n int) error {
	for n > 0 {
		select {
		case done := <-r.done:
			n -= done.sales
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d more sales: %w", n, context.Cause(ctx))
		}
	}
	return nil
}

// start declares exchange and queue and starts relay and consumer, each on a connection of its own.
func (r *reference) start(ctx context.Context, g *errgroup.Group) error {
	var channels [2]*amqp.Channel
	for i := range channels {
		connection, err := amqp.Dial(r.environment.broker.URLs[0])
		if err != nil {
			return fmt.Errorf("connecting to the broker: %w", err)
		}
		g.Go(func() error { <-ctx.Done(); return connection.CloseDeadline(time.Now().Add(time.Second)) })
		if channels[i], err = connection.Channel(); err != nil {
			return fmt.Errorf("connecting to the broker: %w", err)
		}
	}
	if err := declareReference(channels[0]); err != nil {
		return err
	}
	if err := channels[1].Qos(referencePrefetch, 0, false); err != nil {
		return fmt.Errorf("setting the prefetch: %w", err)
	}
	deliveries, err := channels[1].Consume(referenceQueue, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consuming: %w", err)
	}
	if err := r.listen(ctx, g); err != nil {
		return err
	}
	g.Go(func() error { return r.consume(ctx, pump(deliveries, referencePrefetch)) })
	g.Go(func() error { return r.relay(ctx, channels[0]) })
	return nil
}

func declareReference(ch *amqp.Channel) error {
	if err := ch.ExchangeDeclare(referenceExchange, "topic", true, false, false, false, nil); err != nil {
		return fmt.Errorf("declaring the exchange: %w", err)
	}
	if _, err := ch.QueueDeclare(referenceQueue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return fmt.Errorf("declaring the queue: %w", err)
	}
	if err := ch.QueueBind(referenceQueue, referenceKey, referenceExchange, false, nil); err != nil {
		return fmt.Errorf("binding the queue: %w", err)
	}
	return ch.Confirm(false)
}
