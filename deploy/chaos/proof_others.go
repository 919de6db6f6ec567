package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
)

const timesInDeadLetters = `
SELECT e.message_id, (SELECT count(*) FROM dead_letter d WHERE d.message_id = e.message_id AND d.consumer = $2) FROM unnest($1::text[]) AS e(message_id)`

const otherDeadLetters = `SELECT count(*) FROM dead_letter WHERE NOT message_id = ANY ($1::text[])`

// countDead looks for each invalid message among the dead letters of all its consumers, and for other dead letters.
// Further copies are harmless: a crash between confirm and ack makes them. After composerp.events was deleted only
// intake is checked, because its queue is bound first: the other consumers may have missed a message meanwhile.
func (env *environment) countDead(ctx context.Context, publications []Publication, c *count) error {
	var invalid []string
	for _, s := range publications {
		if s.Kind == Invalid {
			invalid = append(invalid, s.Event.ID.String())
		}
	}
	for _, w := range workers.Fleet(workers.Config{}) {
		if !slices.Contains(w.Types(), event.TypeSaleCompleted) || env.eventsDeleted.Load() && !w.Subscription().ExternalOnly {
			continue
		}
		err := env.eachRow(ctx, timesInDeadLetters, []any{pq.StringArray(invalid), w.Name()}, func(row *sql.Rows) error {
			var id string
			var n int
			if err := row.Scan(&id, &n); err != nil {
				return err
			}
			if n == 0 {
				c.Lost++
				env.addFinding(fmt.Sprintf("message %s, which is not an event, is not among the dead letters of %s", id, w.Name()))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	c.Dead = len(invalid)
	var others int
	if err := env.super.QueryRowContext(ctx, otherDeadLetters, pq.StringArray(invalid)).Scan(&others); err != nil {
		return err
	}
	if others > 0 {
		env.addFinding(fmt.Sprintf("%d valid messages are among the dead letters", others))
	}
	return nil
}

const approvedOrders = `SELECT aggregate_id FROM event_log WHERE type = 'PURCHASE_ORDER_APPROVED' AND tenant_id = $1`

// countOrders compares the supplier's orders with the approved ones.
func (env *environment) countOrders(ctx context.Context) error {
	_, taken, conflicts := env.supplier.account()
	for _, problem := range conflicts {
		env.addFinding(problem)
	}
	err := env.eachRow(ctx, approvedOrders, []any{tenant}, func(row *sql.Rows) error {
		var order string
		if err := row.Scan(&order); err != nil {
			return err
		}
		key := order + ":send"
		if _, sent := taken[key]; !sent {
			env.addFinding("the supplier has not got the approved order " + order)
		}
		delete(taken, key)
		return nil
	})
	if err != nil {
		return fmt.Errorf("counting the orders: %w", err)
	}
	for key := range taken {
		env.addFinding("the supplier got order " + strings.TrimSuffix(key, ":send") + ", which is not approved")
	}
	return nil
}
