package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lib/pq"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/clock"
)

// The whole effect of a batch in one statement.
const applyBatch = `
WITH m AS (SELECT DISTINCT ON (event_id) * FROM unnest($1::uuid[], $2::text[], $3::numeric[]) AS t(event_id, item_id, quantity)),
fresh AS (INSERT INTO inbox (consumer, event_id) SELECT 1, event_id FROM m ON CONFLICT DO NOTHING RETURNING event_id),
f AS (SELECT m.* FROM m JOIN fresh USING (event_id)),
moved AS (INSERT INTO movement (event_id, item_id, quantity) SELECT event_id, item_id, -quantity FROM f),
held AS (INSERT INTO position (item_id, on_hand) SELECT item_id, -sum(quantity) FROM f GROUP BY item_id ORDER BY item_id
         ON CONFLICT (item_id) DO UPDATE SET on_hand = position.on_hand + excluded.on_hand)
SELECT count(*) FROM fresh`

// pump buffers the deliveries: the library's own channel is unbuffered, and taking without waiting finds at most one
// message in it.
func pump(deliveries <-chan amqp.Delivery, size int) <-chan amqp.Delivery {
	arrived := make(chan amqp.Delivery, size)
	go func() {
		defer close(arrived)
		for d := range deliveries {
			arrived <- d
		}
	}()
	return arrived
}

// bareSale is the part of a sale that the reference reads.
type bareSale struct {
	ID      string `json:"eventId"`
	Payload struct {
		Item     string      `json:"itemId"`
		Quantity json.Number `json:"quantity"`
	} `json:"payload"`
}

// consume applies the messages that have arrived, at most a batch, and acknowledges them.
func (r *reference) consume(ctx context.Context, arrived <-chan amqp.Delivery) error {
	apply, err := r.db.PrepareContext(ctx, applyBatch)
	if err != nil {
		return stopped(ctx, fmt.Errorf("preparing the batch: %w", err))
	}
	defer apply.Close()
	for {
		var batch []amqp.Delivery
		select {
		case <-ctx.Done():
			return nil
		case d, open := <-arrived:
			if !open {
				return stopped(ctx, fmt.Errorf("consuming: %w", amqp.ErrClosed))
			}
			batch = takeMore(d, arrived)
		}
		n, err := applySales(ctx, apply, batch)
		if err != nil {
			return stopped(ctx, fmt.Errorf("applying a batch: %w", err))
		}
		r.done <- applied{n, time.Now()}
		if err := batch[len(batch)-1].Ack(true); err != nil {
			return stopped(ctx, fmt.Errorf("acknowledging: %w", err))
		}
	}
}

func takeMore(first amqp.Delivery, arrived <-chan amqp.Delivery) []amqp.Delivery {
	batch := append(make([]amqp.Delivery, 0, referenceBatch), first)
	for len(batch) < referenceBatch {
		select {
		case d, open := <-arrived:
			if !open {
				return batch
			}
			batch = append(batch, d)
		default:
			return batch
		}
	}
	return batch
}

func applySales(ctx context.Context, apply *sql.Stmt, batch []amqp.Delivery) (fresh int, err error) {
	ids, soldItems, quantities := make(pq.StringArray, len(batch)), make(pq.StringArray, len(batch)), make(pq.StringArray, len(batch))
	for i := range batch {
		var s bareSale
		if err := json.Unmarshal(batch[i].Body, &s); err != nil {
			return 0, err
		}
		ids[i], soldItems[i], quantities[i] = s.ID, s.Payload.Item, s.Payload.Quantity.String()
	}
	err = apply.QueryRowContext(ctx, ids, soldItems, quantities).Scan(&fresh)
	return fresh, err
}

const referenceLeft = `
SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM inbox), (SELECT count(*) FROM movement),
       (SELECT count(DISTINCT event_id) FROM movement), -(SELECT coalesce(sum(on_hand), 0) FROM position)`

// verify compares the tables with the rows that n sales must leave. It waits for the relay, which may clear its last
// claim after the last sale was applied and measured.
func (r *reference) verify(ctx context.Context, n int) error {
	want := tally{Inbox: n, Movements: n, Distinct: n, Quantity: quantityOf(n)}
	for {
		var found tally
		err := r.db.QueryRowContext(ctx, referenceLeft).Scan(&found.Waiting, &found.Inbox, &found.Movements, &found.Distinct, &found.Quantity)
		if err != nil {
			return fmt.Errorf("reading the tables: %w", err)
		}
		if found.Waiting == 0 {
			return found.check(want)
		}
		if !clock.Sleep(ctx, pollInterval) {
			return fmt.Errorf("waiting for the relay: %w", found.check(want))
		}
	}
}
