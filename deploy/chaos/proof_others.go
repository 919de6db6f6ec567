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
		rows, err := env.super.QueryContext(ctx, timesInDeadLetters, pq.StringArray(invalid), w.Name())
		if err != nil {
			return err
		}
		err = eachCount(rows, func(id string, n int) {
			if n == 0 {
				c.Lost++
				env.addFinding(fmt.Sprintf("message %s, which is not an event, is not among the dead letters of %s", id, w.Name()))
			}
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

func eachCount(rows *sql.Rows, do func(id string, n int)) error {
	defer rows.Close()
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return err
		}
		do(id, n)
	}
	return rows.Err()
}

const approvedOrders = `SELECT aggregate_id FROM event_log WHERE type = 'PURCHASE_ORDER_APPROVED' AND tenant_id = $1`

// countOrders compares the supplier's orders with the approved ones.
func (env *environment) countOrders(ctx context.Context) error {
	rows, err := env.super.QueryContext(ctx, approvedOrders, tenant)
	if err != nil {
		return fmt.Errorf("counting the orders: %w", err)
	}
	defer rows.Close()
	_, taken, conflicts := env.supplier.account()
	for _, problem := range conflicts {
		env.addFinding(problem)
	}
	for rows.Next() {
		var order string
		if err := rows.Scan(&order); err != nil {
			return fmt.Errorf("counting the orders: %w", err)
		}
		if key := order + ":send"; !taken[key] {
			env.addFinding("the supplier has not got the approved order " + order)
		} else {
			delete(taken, key)
		}
	}
	for key := range taken {
		env.addFinding("the supplier got order " + strings.TrimSuffix(key, ":send") + ", which is not approved")
	}
	return rows.Err()
}
