package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
)

// weeks is the business time of a run of the whole fleet. An item has two or three sales a week, as in a real
// wholesaler's till, and so a realistic number of forecasts for each sale.
const weeks = 8

// insertMasterData writes master data for every item. Reorder points follow the forecasts, and an order is always of
// ten packs: the number of orders for a sale must not depend on how soon they are made. About one sale in seventeen
// makes an order; auto rules on a real wholesaler's till made one in twenty-two. The supplier has no endpoint: it
// takes orders by hand.
func (env *environment) insertMasterData(ctx context.Context) error {
	db, err := env.open(1)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO tenant_setting (tenant_id, approval_limit) VALUES ($1, 1000000)`, []any{tenant}},
		{`INSERT INTO location (tenant_id, location_id, kind) VALUES ($1, $2, 'stock')`, []any{tenant, location}},
		{`INSERT INTO item (tenant_id, item_id, name, incomplete, pack, unit_cost)
		  SELECT $1, 'SKU-' || lpad(i::text, 6, '0'), 'Item ' || i, false, 6, 7.50 FROM generate_series(0, $2::int - 1) i`, []any{tenant, items}},
		{`INSERT INTO supplier (tenant_id, supplier_id, name, lead_time_days) VALUES ($1, 'SUP', 'Supplier', 5)`, []any{tenant}},
		{`INSERT INTO replenishment_rule (tenant_id, item_id, location_id, low_stock_threshold, mode, supplier_id, reorder_point, order_quantity)
		  SELECT $1, 'SKU-' || lpad(i::text, 6, '0'), $2, -100, 'auto', 'SUP', -5, 60 FROM generate_series(0, $3::int - 1) i`, []any{tenant, location, items}},
		{`INSERT INTO replenishment_state (tenant_id, item_id, location_id) -- the stock is known
		  SELECT $1, 'SKU-' || lpad(i::text, 6, '0'), $2 FROM generate_series(0, $3::int - 1) i`, []any{tenant, location, items}},
	} {
		if _, err := db.ExecContext(ctx, statement.text, statement.args...); err != nil {
			return fmt.Errorf("making master data: %w", err)
		}
	}
	return nil
}

// runWhole sends n sales through every worker.
func runWhole(ctx context.Context, s *servers, n int) (Throughput, error) {
	return inEnvironment(ctx, s, s.template, func(env *environment) (t Throughput, err error) {
		if err := env.insertMasterData(ctx); err != nil {
			return t, err
		}
		sales, err := newSales(n+1, items, opening, weeks*7*24*time.Hour/time.Duration(n))
		if err != nil {
			return t, err
		}
		return env.runWhole(ctx, sales)
	})
}

// runWhole runs the whole fleet in the environment: the first sale warms it up, the others are measured.
func (env *environment) runWhole(ctx context.Context, sales []event.Any) (Throughput, error) {
	fleetWorkers := workers.Fleet(workers.Config{Log: noLog})
	return withFleet(ctx, env, fleetWorkers, nil, nil, func(ctx context.Context, f *fleet) (Throughput, error) {
		return f.measureWhole(ctx, fleetWorkers, sales)
	})
}

func (f *fleet) measureWhole(ctx context.Context, fleetWorkers []worker.Worker, sales []event.Any) (Throughput, error) {
	o, err := f.newObserver(ctx, fleetWorkers)
	if err != nil {
		return Throughput{}, err
	}
	defer o.db.Close()
	if err := f.admit(ctx, sales[:1]); err != nil {
		return Throughput{}, err
	}
	warm, _, err := o.await(ctx, 1)
	if err != nil {
		return Throughput{}, fmt.Errorf("warming up: %w", err)
	}
	n, end := len(sales)-1, snapshot{}
	var t Throughput
	memory, err := peakMemory(func() (err error) {
		t, err = f.environment.measure(ctx, n, func() error { return f.admit(ctx, sales[1:]) }, func() (ended time.Time, err error) {
			end, ended, err = o.await(ctx, len(sales))
			return ended, err
		})
		return err
	})
	if err != nil {
		return t, err
	}
	t.MemoryMB = memory
	t.Batch = (end.messages - warm.messages) / (end.batches - warm.batches)
	t.Events, t.Handled = float64(end.logged-warm.logged)/float64(n), float64(end.handled-warm.handled)/float64(n)
	return t, o.verify(ctx, len(sales))
}

const stateBefore = `
SELECT (SELECT coalesce(max(seq), 0) FROM event_log), -(SELECT coalesce(sum(on_hand), 0) FROM position WHERE location_id = $1)`

// observer finds out when all consumers have handled everything.
type observer struct {
	fleet     *fleet
	db        *sql.DB
	consumers map[event.Type]int // how many workers consume a type from the relay
	since     int64              // events up to here in the log were handled before
	sold      int64              // pieces that had left the shop before
}

func (f *fleet) newObserver(ctx context.Context, fleetWorkers []worker.Worker) (*observer, error) {
	db, err := f.environment.open(1)
	if err != nil {
		return nil, err
	}
	l := &observer{fleet: f, db: db, consumers: map[event.Type]int{}}
	if err := db.QueryRowContext(ctx, stateBefore, location).Scan(&l.since, &l.sold); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the log: %w", err), db.Close())
	}
	for _, w := range fleetWorkers {
		if w.Subscription().ExternalOnly {
			continue
		}
		for _, t := range w.Types() {
			l.consumers[t]++
		}
	}
	return l, nil
}

// snapshot is the counters and the log at one time.
type snapshot struct {
	counts
	logged int // events that were published
}

// quietFor is how long nothing must have been handled before the log is asked whether anything is pending: that query
// costs the database more than many sales.
const quietFor = 200 * time.Millisecond

// await waits until the ledger has handled a number of sales, and everything that followed from them has been handled.
// It gives the time of the last one.
func (o *observer) await(ctx context.Context, sales int) (snapshot, time.Time, error) {
	handled, since := -1, time.Now()
	for {
		c, err := o.fleet.counts()
		if err != nil {
			return snapshot{}, since, err
		}
		if c.failed > 0 {
			return snapshot{}, since, fmt.Errorf("%d messages failed", c.failed)
		}
		if c.handled != handled {
			handled, since = c.handled, time.Now()
		}
		if c.by["ledger"] >= sales && time.Since(since) > quietFor {
			s, pending, err := o.at(ctx, c)
			if err != nil || pending == 0 {
				return s, since, err
			}
		}
		if !clock.Sleep(ctx, 20*pollInterval) {
			return snapshot{}, since, fmt.Errorf("the ledger handled %d of %d sales: %w", c.by["ledger"], sales, context.Cause(ctx))
		}
	}
}

// at reads the log after the counters: when the two agree, nothing was emitted in between.
func (o *observer) at(ctx context.Context, c counts) (s snapshot, pending int, err error) {
	s.counts = c
	var due int
	if err := o.db.QueryRowContext(ctx, `SELECT count(*) FROM forecast_run WHERE NOT done`).Scan(&due); err != nil {
		return s, 0, fmt.Errorf("counting due forecasts: %w", err)
	}
	rows, err := o.db.QueryContext(ctx, `SELECT type, count(*) FROM event_log WHERE seq > $1 AND publish GROUP BY type`, o.since)
	if err != nil {
		return s, 0, fmt.Errorf("counting the log: %w", err)
	}
	defer rows.Close()
	pending = due - s.handled
	for rows.Next() {
		var t event.Type
		var n int
		if err := rows.Scan(&t, &n); err != nil {
			return s, 0, fmt.Errorf("counting the log: %w", err)
		}
		s.logged += n
		pending += n * o.consumers[t]
	}
	return s, pending, rows.Err()
}

const wholeLeft = `
SELECT (SELECT count(*) FROM event_log WHERE seq > $2 AND publish AND type = 'INVENTORY_UPDATED'),
       -(SELECT coalesce(sum(on_hand), 0) FROM position WHERE location_id = $1),
       (SELECT count(*) - count(DISTINCT event_id) FROM event_log WHERE seq > $2),
       (SELECT count(*) FROM purchase_order), (SELECT count(*) FROM event_log WHERE type = 'PURCHASE_ORDER_APPROVED')`

// verify compares the tables with the rows that the sales must leave.
func (o *observer) verify(ctx context.Context, sales int) error {
	var updates, doubles, orders, approved int
	var quantity int64
	if err := o.db.QueryRowContext(ctx, wholeLeft, location, o.since).Scan(&updates, &quantity, &doubles, &orders, &approved); err != nil {
		return fmt.Errorf("reading the tables: %w", err)
	}
	if quantity -= o.sold; updates != sales || quantity != quantityOf(sales) || doubles != 0 || orders != approved || orders == 0 {
		return fmt.Errorf("wrong tables: %d updates of %d sales, quantity %d of %d, %d doubles, %d orders, %d approved",
			updates, sales, quantity, quantityOf(sales), doubles, orders, approved)
	}
	return nil
}
