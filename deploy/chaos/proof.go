package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/deploy/chaos/laneorder"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/seal"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/audit"
)

const (
	// settleTimeout is how long the fleet may take to settle: a message that has failed twice waits a minute in its
	// retry queue.
	settleTimeout = 80 * time.Second
	// settledFor is how long it must have been settled: the private broker refreshes its statistics every second.
	settledFor = 3 * time.Second
)

// count is the result of the count.
type count struct {
	Lost    int
	Doubled int
	Dead    int // messages that are not events, and are dead letters as they should be
	InLanes int // movements that the ordered worker handled in lanes
}

// prove runs Composerp's audit and then counts everything that was published.
func (env *environment) prove(ctx context.Context, publications []Publication) (audit.Report, count, error) {
	env.awaitRepairs(ctx)
	report, err := audit.Run(ctx, audit.Config{
		DB: env.direct, Broker: env.broker, Management: env.management, Topology: workers.Topology(), Wait: settleTimeout, Settle: settledFor, Progress: env.cfg.Progress,
	})
	if err != nil {
		return report, count{}, err
	}
	if !report.Proven() {
		env.addFinding("the audit says " + string(report.Verdict))
	}
	env.cfg.Progress("verifying the log")
	if err := env.verify(ctx); err != nil {
		return report, count{}, err
	}
	env.cfg.Progress("counting what was published")
	c, err := env.count(ctx, publications)
	return report, c, err
}

// verify seals the log, and holds each event against its seal.
func (env *environment) verify(ctx context.Context) error {
	head, err := seal.Seal(ctx, env.direct)
	if err != nil {
		return err
	}
	report, err := seal.Verify(ctx, env.direct, nil, nil, nil, nil)
	switch {
	case err != nil:
		return err
	case head.ID == 0:
		env.addFinding("nothing of the log is sealed")
	case report.Found > 0:
		env.addFinding(fmt.Sprintf("the log is not as it was sealed: %d findings, of position %d: %s", report.Found, report.Findings[0].Seq, report.Findings[0].What))
	}
	return nil
}

const openGaps = `SELECT coalesce(string_agg(DISTINCT consumer, ', '), '') FROM gap`

// awaitRepairs waits until the watchdog has published the messages of a lost queue again.
func (env *environment) awaitRepairs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, env.cfg.allow(settleTimeout))
	defer cancel()
	for {
		var open string
		err := env.super.QueryRowContext(ctx, openGaps).Scan(&open)
		if err == nil && open == "" {
			return
		}
		if !clock.Sleep(ctx, retryPause) {
			env.addFinding(fmt.Sprintf("the messages of a lost queue have not been published again for %s (%v)", open, err))
			return
		}
	}
}

// appliedOnce are the published events that must have been applied, once each.
func (env *environment) appliedOnce(publications []Publication) []event.Any {
	var events []event.Any
	for _, s := range publications {
		if s.Kind == Fresh {
			events = append(events, s.Event)
		}
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	seen := map[uuid.UUID]bool{}
	for _, e := range env.extras {
		if !seen[e.ID] {
			events, seen[e.ID] = append(events, e), true
		}
	}
	return events
}

func (env *environment) count(ctx context.Context, publications []Publication) (count, error) {
	var c count
	events := env.appliedOnce(publications)
	for _, check := range []func(context.Context, []event.Any, *count) error{env.countLog, env.countInboxes, env.countMovements, env.countStock, env.countInLanes} {
		if err := check(ctx, events, &c); err != nil {
			return c, fmt.Errorf("counting what was published: %w", err)
		}
	}
	if err := env.countDead(ctx, publications, &c); err != nil {
		return c, fmt.Errorf("counting the dead letters: %w", err)
	}
	return c, env.countOrders(ctx)
}

const timesLogged = `
SELECT e.event_id, count(l.event_id) FROM unnest($1::uuid[]) AS e(event_id) LEFT JOIN event_log l ON l.event_id = e.event_id GROUP BY e.event_id`

func (env *environment) countLog(ctx context.Context, events []event.Any, c *count) error {
	return env.countEach(ctx, c, 1, "in the log", timesLogged, idsOf(events))
}

const timesHandled = `
SELECT e.event_id, count(i.event_id) FROM unnest($1::uuid[]) AS e(event_id)
LEFT JOIN inbox i ON i.event_id = e.event_id AND i.consumer = (SELECT id FROM consumer WHERE name = $2) GROUP BY e.event_id`

func (env *environment) countInboxes(ctx context.Context, events []event.Any, c *count) error {
	tracking := trackingWorkers()
	byConsumer := map[string][]event.Any{}
	for _, e := range events {
		for _, consumer := range tracking[e.Type] {
			byConsumer[consumer] = append(byConsumer[consumer], e)
		}
	}
	for consumer, pending := range byConsumer {
		if err := env.countEach(ctx, c, 1, "handled by "+consumer, timesHandled, idsOf(pending), consumer); err != nil {
			return err
		}
	}
	return nil
}

const timesMoved = `
SELECT e.event_id, count(m.event_id) FROM unnest($1::uuid[]) AS e(event_id) LEFT JOIN movement m ON m.event_id = e.event_id GROUP BY e.event_id`

// linesOfEvent is how many movements an event makes: one at its location and one at the counterpart.
const linesOfEvent = 2

func (env *environment) countMovements(ctx context.Context, events []event.Any, c *count) error {
	return env.countEach(ctx, c, linesOfEvent, "among the movements", timesMoved, idsOf(events))
}

// countEach counts rows for each event and compares the number with the expected one.
func (env *environment) countEach(ctx context.Context, c *count, want int, where, query string, args ...any) error {
	return env.eachRow(ctx, query, args, func(row *sql.Rows) error {
		var id uuid.UUID
		var n int
		if err := row.Scan(&id, &n); err != nil {
			return err
		}
		if n != want {
			env.addFinding(fmt.Sprintf("event %s is %d times %s, and should be %d times", id, n, where, want))
		}
		if n < want {
			c.Lost++
		} else if n > want {
			c.Doubled++
		}
		return nil
	})
}

// eachRow calls do for each row of a query.
func (env *environment) eachRow(ctx context.Context, query string, args []any, do func(row *sql.Rows) error) error {
	rows, err := env.super.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// position is an item at a location.
type position struct{ item, location string }

// stockAfter is the expected stock once all events have been applied, at the virtual locations too.
func stockAfter(events []event.Any) map[position]event.Decimal {
	stock := map[position]event.Decimal{}
	move := func(item, location, counterpart string, quantity event.Decimal) {
		to, from := position{item, location}, position{item, counterpart}
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

// countStock compares every position with what was published, to the piece.
func (env *environment) countStock(ctx context.Context, events []event.Any, _ *count) error {
	want := stockAfter(events)
	err := env.eachRow(ctx, allStock, []any{tenant}, func(row *sql.Rows) error {
		var at position
		var onHand event.Decimal
		if err := row.Scan(&at.item, &at.location, &onHand); err != nil {
			return err
		}
		if expected := want[at]; !onHand.Equal(expected) {
			env.addFinding(fmt.Sprintf("%s at %s: %s on hand, %s expected", at.item, at.location, onHand, expected))
		}
		delete(want, at)
		return nil
	})
	if err != nil {
		return err
	}
	for at, expected := range want {
		if expected.Sign() != 0 {
			env.addFinding(fmt.Sprintf("%s at %s: no stock, %s expected", at.item, at.location, expected))
		}
	}
	return nil
}

// countInLanes finds movements that were handled in lanes after a later one of their position.
func (env *environment) countInLanes(ctx context.Context, _ []event.Any, c *count) error {
	handled, late, err := laneorder.Read(ctx, env.super)
	for _, l := range late {
		env.addFinding(l.String())
	}
	c.InLanes = handled
	return err
}

func idsOf(events []event.Any) pq.StringArray {
	ids := make(pq.StringArray, len(events))
	for i, e := range events {
		ids[i] = e.ID.String()
	}
	return ids
}
