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

const timesDead = `
SELECT e.message_id, (SELECT count(*) FROM dead_letter d WHERE d.message_id = e.message_id AND d.consumer = $2) FROM unnest($1::text[]) AS e(message_id)`

const strangers = `SELECT count(*) FROM dead_letter WHERE NOT message_id = ANY ($1::text[])`

// countDead looks for each stray among the dead letters of everyone who heard it, and for others there. A copy more is
// harmless: a crash between a confirm and an ack makes it. Whoever logs what outsiders say is bound first of all; the others may not have
// heard a stray that came while their exchange was put together again.
func (h *house) countDead(ctx context.Context, sayings []Saying, c *count) error {
	var strays []string
	for _, s := range sayings {
		if s.Sort == Stray {
			strays = append(strays, s.Event.ID.String())
		}
	}
	for _, w := range workers.Fleet(workers.Config{}) {
		if !slices.Contains(w.Types(), event.TypeSaleCompleted) || h.torn.Load() && !w.Subscription().ExternalOnly {
			continue
		}
		rows, err := h.super.QueryContext(ctx, timesDead, pq.StringArray(strays), w.Name())
		if err != nil {
			return err
		}
		err = eachCount(rows, func(id string, n int) {
			if n == 0 {
				c.Lost++
				h.find(fmt.Sprintf("message %s, which is no event, is not among the dead letters of %s", id, w.Name()))
			}
		})
		if err != nil {
			return err
		}
	}
	c.Dead = len(strays)
	var others int
	if err := h.super.QueryRowContext(ctx, strangers, pq.StringArray(strays)).Scan(&others); err != nil {
		return err
	}
	if others > 0 {
		h.find(fmt.Sprintf("%d good messages are among the dead letters", others))
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

// countOrders holds what the supplier was sent against what was approved.
func (h *house) countOrders(ctx context.Context) error {
	rows, err := h.super.QueryContext(ctx, approvedOrders, tenant)
	if err != nil {
		return fmt.Errorf("counting the orders: %w", err)
	}
	defer rows.Close()
	_, taken, odd := h.supplier.account()
	for _, problem := range odd {
		h.find(problem)
	}
	for rows.Next() {
		var order string
		if err := rows.Scan(&order); err != nil {
			return fmt.Errorf("counting the orders: %w", err)
		}
		if key := order + ":send"; !taken[key] {
			h.find("the supplier has not got order " + order + ", which is approved")
		} else {
			delete(taken, key)
		}
	}
	for key := range taken {
		h.find("the supplier got order " + strings.TrimSuffix(key, ":send") + ", which nobody has approved")
	}
	return rows.Err()
}
