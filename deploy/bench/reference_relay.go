package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lib/pq"
	amqp "github.com/rabbitmq/amqp091-go"
)

const claimOutbox = `SELECT id, event_id::text, routing_key, body FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED`

const clearOutbox = `DELETE FROM outbox WHERE id = ANY ($1)`

// relay publishes the outbox. Each claim is one transaction that stays open until the broker has confirmed all of it:
// Composerp's own relay never does that, and nothing is cheaper.
func (r *reference) relay(ctx context.Context, channel *amqp.Channel) error {
	claim, err := r.db.PrepareContext(ctx, claimOutbox)
	if err != nil {
		return stopped(ctx, fmt.Errorf("preparing the claim: %w", err))
	}
	defer claim.Close()
	clearing, err := r.db.PrepareContext(ctx, clearOutbox)
	if err != nil {
		return stopped(ctx, fmt.Errorf("preparing the deletion: %w", err))
	}
	defer clearing.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
		for {
			n, err := r.relayClaim(ctx, channel, claim, clearing)
			if err != nil {
				return stopped(ctx, fmt.Errorf("relaying: %w", err))
			}
			if n == 0 {
				break
			}
		}
	}
}

// relayClaim publishes while it reads, waits for the last confirms, and deletes the claimed rows.
func (r *reference) relayClaim(ctx context.Context, channel *amqp.Channel, claim, clearing *sql.Stmt) (int, error) {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	rows, err := tx.StmtContext(ctx, claim).QueryContext(ctx, referenceClaim)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	ids := make(pq.Int64Array, 0, referenceClaim)
	confirms := make([]*amqp.DeferredConfirmation, 0, referenceClaim)
	for rows.Next() {
		var id int64
		var eventID, key string
		var body []byte
		if err := rows.Scan(&id, &eventID, &key, &body); err != nil {
			return 0, err
		}
		if i := len(confirms) - referenceWindow; i >= 0 && !confirms[i].Wait() {
			return 0, errNacked
		}
		confirm, err := channel.PublishWithDeferredConfirm(referenceExchange, key, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, ContentType: "application/json", MessageId: eventID, Type: "SALE_COMPLETED", Body: body,
		})
		if err != nil {
			return 0, err
		}
		ids, confirms = append(ids, id), append(confirms, confirm)
	}
	if err := rows.Err(); err != nil || len(ids) == 0 {
		return 0, err
	}
	for _, c := range confirms {
		if !c.Wait() {
			return 0, errNacked
		}
	}
	if _, err := tx.StmtContext(ctx, clearing).ExecContext(ctx, ids); err != nil {
		return 0, err
	}
	return len(ids), tx.Commit()
}

var errNacked = errors.New("the broker refused a message")

// stopped drops an error that the end of the run has caused.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
