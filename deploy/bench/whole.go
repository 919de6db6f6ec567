package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
)

// weeks is how much business time a run of the whole fleet spans: so that a week has
// two or three sales of an item, as in a real wholesaler's till, and as many forecasts for each sale.
const weeks = 8

// furnish gives the place master data for every item there is. Reorder points follow the forecasts, and orders are of ten
// packs, whatever the forecasts say: how many orders a sale makes must not depend on how soon they are made. It is one in seventeen or so;
// auto rules on a real wholesaler's till made one in twenty-two. Nobody can be called: the supplier takes orders by hand.
func (p *place) furnish(ctx context.Context) error {
	db, err := p.open(1)
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
	} {
		if _, err := db.ExecContext(ctx, statement.text, statement.args...); err != nil {
			return fmt.Errorf("making master data: %w", err)
		}
	}
	return nil
}

// runWhole carries n sales through every worker.
func runWhole(ctx context.Context, s *servers, n int) (t Throughput, err error) {
	p, err := s.newPlace(ctx, s.template)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	if err := p.furnish(ctx); err != nil {
		return t, err
	}
	sales, err := newSales(n+1, opening, weeks*7*24*time.Hour/time.Duration(n))
	if err != nil {
		return t, err
	}
	return p.runWhole(ctx, sales, 1)
}

// runWhole runs the whole fleet on the place: the first sales warm it up, the others count.
func (p *place) runWhole(ctx context.Context, sales []event.Any, warmUp int) (t Throughput, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	guests := workers.Fleet(workers.Config{Log: quiet})
	f, err := p.start(ctx, g, guests, nil)
	if err == nil {
		t, err = f.measureWhole(ctx, guests, sales, warmUp)
	}
	stop()
	err = errors.Join(err, g.Wait())
	f.close()
	return t, err
}

func (f *fleet) measureWhole(ctx context.Context, guests []worker.Worker, sales []event.Any, warmUp int) (Throughput, error) {
	look, err := f.newLook(ctx, guests)
	if err != nil {
		return Throughput{}, err
	}
	defer look.db.Close()
	if err := f.admit(ctx, sales[:warmUp]); err != nil {
		return Throughput{}, err
	}
	warm, _, err := look.await(ctx, warmUp)
	if err != nil {
		return Throughput{}, fmt.Errorf("warming up: %w", err)
	}
	f.place.settle(ctx)
	if err := f.admit(ctx, sales[warmUp:]); err != nil {
		return Throughput{}, err
	}
	began, before := time.Now(), f.place.servers.meter.read()
	end, ended, err := look.await(ctx, len(sales))
	if err != nil {
		return Throughput{}, err
	}
	n := len(sales) - warmUp
	t := throughput(n, ended.Sub(began))
	t.Cores = f.place.servers.meter.read().since(before)
	t.Batch = (end.messages - warm.messages) / (end.batches - warm.batches)
	t.Events, t.Handled = float64(end.logged-warm.logged)/float64(n), float64(end.handled-warm.handled)/float64(n)
	return t, look.verify(ctx, len(sales))
}

const lookBefore = `
SELECT (SELECT coalesce(max(seq), 0) FROM event_log), -(SELECT coalesce(sum(on_hand), 0) FROM position WHERE location_id = $1)`

// look sees whether everything has been handled by everyone who hears it.
type look struct {
	fleet *fleet
	db    *sql.DB
	hears map[event.Type]int // how many workers, of what the relay publishes
	since int64              // what is up to here in the log was handled before
	sold  int64              // what had left the shop before
}

func (f *fleet) newLook(ctx context.Context, guests []worker.Worker) (*look, error) {
	db, err := f.place.open(1)
	if err != nil {
		return nil, err
	}
	l := &look{fleet: f, db: db, hears: map[event.Type]int{}}
	if err := db.QueryRowContext(ctx, lookBefore, location).Scan(&l.since, &l.sold); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the log: %w", err), db.Close())
	}
	for _, w := range guests {
		if w.Subscription().ExternalOnly {
			continue
		}
		for _, t := range w.Types() {
			l.hears[t]++
		}
	}
	return l, nil
}

// seen is what one look saw.
type seen struct {
	counts
	logged int // events that were published
}

// rest is how long nothing must have been handled before the log is asked whether anything is left: asking costs the database more than
// many sales do.
const rest = 200 * time.Millisecond

// await waits until the ledger has handled so many sales, and everything that follows has been handled. It gives when the last was.
func (l *look) await(ctx context.Context, sales int) (seen, time.Time, error) {
	handled, since := -1, time.Now()
	for {
		c, err := l.fleet.counts()
		if err != nil {
			return seen{}, since, err
		}
		if c.failed > 0 {
			return seen{}, since, fmt.Errorf("%d messages failed", c.failed)
		}
		if c.handled != handled {
			handled, since = c.handled, time.Now()
		}
		if c.by["ledger"] >= sales && time.Since(since) > rest {
			s, owed, err := l.at(ctx, c)
			if err != nil || owed == 0 {
				return s, since, err
			}
		}
		select {
		case <-time.After(20 * glance):
		case <-ctx.Done():
			return seen{}, since, fmt.Errorf("the ledger handled %d of %d sales: %w", c.by["ledger"], sales, context.Cause(ctx))
		}
	}
}

// at reads what is in the log after what was handled: when the two agree, nothing has followed in between.
func (l *look) at(ctx context.Context, c counts) (s seen, owed int, err error) {
	s.counts = c
	var due int
	if err := l.db.QueryRowContext(ctx, `SELECT count(*) FROM forecast_run WHERE NOT done`).Scan(&due); err != nil {
		return s, 0, fmt.Errorf("counting due forecasts: %w", err)
	}
	rows, err := l.db.QueryContext(ctx, `SELECT type, count(*) FROM event_log WHERE seq > $1 AND publish GROUP BY type`, l.since)
	if err != nil {
		return s, 0, fmt.Errorf("counting the log: %w", err)
	}
	defer rows.Close()
	owed = due - s.handled
	for rows.Next() {
		var t event.Type
		var n int
		if err := rows.Scan(&t, &n); err != nil {
			return s, 0, fmt.Errorf("counting the log: %w", err)
		}
		s.logged += n
		owed += n * l.hears[t]
	}
	return s, owed, rows.Err()
}

const wholeLeft = `
SELECT (SELECT count(*) FROM event_log WHERE seq > $2 AND publish AND type = 'INVENTORY_UPDATED'),
       -(SELECT coalesce(sum(on_hand), 0) FROM position WHERE location_id = $1),
       (SELECT count(*) - count(DISTINCT event_id) FROM event_log WHERE seq > $2),
       (SELECT count(*) FROM purchase_order), (SELECT count(*) FROM event_log WHERE type = 'PURCHASE_ORDER_APPROVED')`

// verify holds the tables against what so many sales must leave.
func (l *look) verify(ctx context.Context, sales int) error {
	var updates, doubles, orders, approved int
	var quantity int64
	if err := l.db.QueryRowContext(ctx, wholeLeft, location, l.since).Scan(&updates, &quantity, &doubles, &orders, &approved); err != nil {
		return fmt.Errorf("reading the tables: %w", err)
	}
	if quantity -= l.sold; updates != sales || quantity != quantityOf(sales) || doubles != 0 || orders != approved || orders == 0 {
		return fmt.Errorf("wrong tables: %d updates of %d sales, quantity %d of %d, %d doubles, %d orders, %d approved",
			updates, sales, quantity, quantityOf(sales), doubles, orders, approved)
	}
	return nil
}
