package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/audit"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
)

const (
	// restPatience is how long the fleet may take to come to rest: a message that has failed twice waits for a minute on its ladder.
	restPatience = 80 * time.Second
	// restFor is how long it must have been at rest: the private broker renews its figures each second.
	restFor = 3 * time.Second
)

// count is what the arithmetic comes to.
type count struct {
	Lost    int
	Doubled int
	Dead    int // messages that were no events, and are dead as they should be
}

// prove lets composerp audit itself and then counts everything that was said.
func (h *house) prove(ctx context.Context, sayings []Saying) (audit.Report, count, error) {
	h.awaitMends(ctx)
	report, err := audit.Run(ctx, audit.Config{
		DB: h.direct, Exchange: h.broker, Management: h.management, Topology: workers.Topology(), Wait: h.cfg.allow(restPatience), Settle: restFor, Progress: h.cfg.Progress,
	})
	if err != nil {
		return report, count{}, err
	}
	if !report.Proven() {
		h.find("the audit says " + string(report.Verdict))
	}
	h.cfg.Progress("counting what was said")
	c, err := h.count(ctx, sayings)
	return report, c, err
}

const openGaps = `SELECT coalesce(string_agg(DISTINCT consumer, ', '), '') FROM gap`

// awaitMends waits until the watchdog has published again what was lost with a queue.
func (h *house) awaitMends(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, restPatience)
	defer cancel()
	for {
		var open string
		err := h.super.QueryRowContext(ctx, openGaps).Scan(&open)
		if err == nil && open == "" {
			return
		}
		if !sleep(ctx, sayingPause) {
			h.find(fmt.Sprintf("what was lost with its queue has not come back for %s (%v)", open, err))
			return
		}
	}
}

// ledgered are the events that were said and must have been applied, once each.
func (h *house) ledgered(sayings []Saying) []event.Any {
	var events []event.Any
	for _, s := range sayings {
		if s.Sort == Fresh {
			events = append(events, s.Event)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[uuid.UUID]bool{}
	for _, e := range h.extras {
		if !seen[e.ID] {
			events, seen[e.ID] = append(events, e), true
		}
	}
	return events
}

func (h *house) count(ctx context.Context, sayings []Saying) (count, error) {
	var c count
	events := h.ledgered(sayings)
	for _, check := range []func(context.Context, []event.Any, *count) error{h.countLog, h.countInboxes, h.countMovements, h.countStock} {
		if err := check(ctx, events, &c); err != nil {
			return c, fmt.Errorf("counting what was said: %w", err)
		}
	}
	if err := h.countDead(ctx, sayings, &c); err != nil {
		return c, fmt.Errorf("counting the dead letters: %w", err)
	}
	return c, h.countOrders(ctx)
}

const timesLogged = `
SELECT e.event_id, count(l.event_id) FROM unnest($1::uuid[]) AS e(event_id) LEFT JOIN event_log l ON l.event_id = e.event_id GROUP BY e.event_id`

func (h *house) countLog(ctx context.Context, events []event.Any, c *count) error {
	return h.countEach(ctx, c, 1, "in the log", timesLogged, idsOf(events))
}

const timesHandled = `
SELECT e.event_id, count(i.event_id) FROM unnest($1::uuid[]) AS e(event_id)
LEFT JOIN inbox i ON i.event_id = e.event_id AND i.consumer = (SELECT id FROM consumer WHERE name = $2) GROUP BY e.event_id`

func (h *house) countInboxes(ctx context.Context, events []event.Any, c *count) error {
	owes := duties()
	byConsumer := map[string][]event.Any{}
	for _, e := range events {
		for _, consumer := range owes[e.Type] {
			byConsumer[consumer] = append(byConsumer[consumer], e)
		}
	}
	for consumer, owed := range byConsumer {
		if err := h.countEach(ctx, c, 1, "handled by "+consumer, timesHandled, idsOf(owed), consumer); err != nil {
			return err
		}
	}
	return nil
}

const timesMoved = `
SELECT e.event_id, count(m.event_id) FROM unnest($1::uuid[]) AS e(event_id) LEFT JOIN movement m ON m.event_id = e.event_id GROUP BY e.event_id`

// linesOfEvent is how many movements an event makes: one at the place it names and one at its counterpart.
const linesOfEvent = 2

func (h *house) countMovements(ctx context.Context, events []event.Any, c *count) error {
	return h.countEach(ctx, c, linesOfEvent, "among the movements", timesMoved, idsOf(events))
}

// countEach counts something for each event and holds it against what it must be.
func (h *house) countEach(ctx context.Context, c *count, want int, where, query string, args ...any) error {
	rows, err := h.super.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return err
		}
		if n != want {
			h.find(fmt.Sprintf("event %s is %d times %s, and should be %d times", id, n, where, want))
		}
		if n < want {
			c.Lost++
		} else if n > want {
			c.Doubled++
		}
	}
	return rows.Err()
}

// place is a position.
type place struct{ item, location string }

// stockAfter is what must be where once all events have been applied, at the virtual locations too.
func stockAfter(events []event.Any) map[place]event.Decimal {
	stock := map[place]event.Decimal{}
	move := func(item, location, counterpart string, quantity event.Decimal) {
		to, from := place{item, location}, place{item, counterpart}
		stock[to], stock[from] = stock[to].Add(quantity), stock[from].Sub(quantity)
	}
	for _, e := range events {
		switch p := e.Payload.(type) {
		case event.SaleCompleted:
			move(p.ItemID, p.LocationID, "@customer", p.Quantity.Neg())
		case event.ReceiptCompleted:
			from := "@supplier"
			if p.TransferID != "" {
				from = "@transit"
			}
			move(p.ItemID, p.LocationID, from, p.Quantity)
		case event.TransferInitiated:
			move(p.ItemID, p.FromLocationID, "@transit", p.Quantity.Neg())
		case event.StockAdjusted:
			move(p.ItemID, p.LocationID, "@loss", p.Quantity)
		}
	}
	return stock
}

const allStock = `SELECT item_id, location_id, on_hand FROM position WHERE tenant_id = $1`

// countStock holds every position against what was said, to the piece.
func (h *house) countStock(ctx context.Context, events []event.Any, _ *count) error {
	want := stockAfter(events)
	rows, err := h.super.QueryContext(ctx, allStock, tenant)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at place
		var onHand event.Decimal
		if err := rows.Scan(&at.item, &at.location, &onHand); err != nil {
			return err
		}
		if expected := want[at]; !onHand.Equal(expected) {
			h.find(fmt.Sprintf("%s at %s: %s on hand, and %s was said", at.item, at.location, onHand, expected))
		}
		delete(want, at)
	}
	for at, expected := range want {
		if expected.Sign() != 0 {
			h.find(fmt.Sprintf("%s at %s: no stock, and %s was said", at.item, at.location, expected))
		}
	}
	return rows.Err()
}

func idsOf(events []event.Any) pq.StringArray {
	ids := make(pq.StringArray, len(events))
	for i, e := range events {
		ids[i] = e.ID.String()
	}
	return ids
}
