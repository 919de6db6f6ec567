package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
)

// house is everything of a run: servers, fleet, and those outside.
type house struct {
	cfg        Config
	servers    *local.Servers
	user       string    // of the fleet, at both servers
	super      *sql.DB   // breaks and proves
	direct     *store.DB // around the proxies
	patient    *store.DB // whose transactions may be left idle
	management *exchange.Management
	broker     exchange.Config // around the proxies
	vhost      string          // that the broker's URL leads to
	fleet      []*member
	supplier   *supplier
	problems   notes
	torn       atomic.Bool // composerp.events was deleted

	mu     sync.Mutex
	extras []event.Any // events of faults and probes
}

// startPatience bounds the start of the servers, and then that of the fleet.
const startPatience = 2 * time.Minute

// fleetSize is how many processes run everything.
const fleetSize = 2

// build starts the servers, fills them, and starts the fleet. What was built is to be closed after an error too. The
// servers have a timeout of their own, and may wait for those of other tests before it begins.
func build(ctx context.Context, cfg Config) (h *house, err error) {
	h = &house{cfg: cfg}
	cfg.Progress("starting PostgreSQL and RabbitMQ on loopback, data in " + cfg.Dir)
	if h.servers, err = local.Start(ctx, local.Config{Dir: cfg.Dir, Log: cfg.Log, StartTimeout: cfg.allow(startPatience)}); err != nil {
		return h, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.allow(startPatience))
	defer cancel()
	if h.supplier, err = openSupplier(context.WithoutCancel(ctx)); err != nil {
		return h, err
	}
	if err := h.connect(ctx); err != nil {
		return h, err
	}
	if err := h.furnish(ctx); err != nil {
		return h, err
	}
	return h, h.startFleet(ctx)
}

func (h *house) connect(ctx context.Context) (err error) {
	at, err := url.Parse(h.servers.DatabaseURL)
	if err != nil {
		return fmt.Errorf("connecting to the servers: %w", err)
	}
	h.user = at.User.Username()
	if h.super, err = superuser(h.servers); err != nil {
		return err
	}
	if h.direct, err = store.Open(ctx, store.Config{URL: h.servers.DatabaseURL, Name: "chaos", Connections: 4}); err != nil {
		return err
	}
	if h.patient, err = openPatient(ctx, h.servers.DatabaseURL); err != nil {
		return err
	}
	h.broker = exchange.Config{URLs: []string{h.servers.AMQPURL}, Name: "chaos", Log: h.cfg.Log}
	if h.vhost, err = h.broker.Vhost(); err != nil {
		return err
	}
	h.management, err = exchange.NewManagement(h.servers.ManagementURL)
	return err
}

// furnish makes schema, topology and master data. Every position has a rule, whose orders policy approves and the supplier gets.
func (h *house) furnish(ctx context.Context) error {
	if _, err := h.direct.Migrate(ctx); err != nil {
		return err
	}
	if err := errors.Join(h.direct.EnsurePartitions(ctx), workers.Topology().Apply(ctx, h.broker)); err != nil {
		return err
	}
	places := pq.StringArray(locations)
	for _, statement := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO tenant_setting (tenant_id, approval_limit) VALUES ($1, 1000000)`, []any{tenant}},
		{`INSERT INTO location (tenant_id, location_id, kind) SELECT $1, l, 'stock' FROM unnest($2::text[]) l`, []any{tenant, places}},
		{`INSERT INTO item (tenant_id, item_id, name, incomplete, unit_cost)
		  SELECT $1, 'SKU-' || lpad(i::text, 3, '0'), 'Item ' || i, false, 2.50 FROM generate_series(0, $2::int - 1) i`, []any{tenant, items}},
		{`INSERT INTO supplier (tenant_id, supplier_id, name, lead_time_days, endpoint) VALUES ($1, 'SUPPLIER', 'Supplier', 5, $2)`, []any{tenant, h.supplier.address}},
		{`INSERT INTO replenishment_rule (tenant_id, item_id, location_id, low_stock_threshold, supplier_id, reorder_point, order_quantity)
		  SELECT $1, 'SKU-' || lpad(i::text, 3, '0'), l, $4, 'SUPPLIER', $5, 40 FROM generate_series(0, $2::int - 1) i, unnest($3::text[]) l`,
			[]any{tenant, items, places, openingStock - 20, openingStock - 10}},
	} {
		if _, err := h.super.ExecContext(ctx, statement.text, statement.args...); err != nil {
			return fmt.Errorf("making master data: %w", err)
		}
	}
	return nil
}

func (h *house) startFleet(ctx context.Context) error {
	h.cfg.Progress(fmt.Sprintf("starting %d processes of %s", fleetSize, h.cfg.Program))
	for i := range fleetSize {
		m, err := newMember(fmt.Sprintf("fleet-%d", i+1), h.cfg.Dir, h.cfg.Program, h.servers.Endpoints, h.cfg.Environment, h.find)
		if err != nil {
			return err
		}
		h.fleet = append(h.fleet, m)
		if err := m.start(); err != nil {
			return err
		}
	}
	for _, m := range h.fleet {
		for !m.up() {
			if !sleep(ctx, sayingPause) {
				return fmt.Errorf("waiting for %s to be up: %w", m.name, ctx.Err())
			}
		}
	}
	return nil
}

// find notes what is wrong, once.
func (h *house) find(problem string) {
	h.problems.add(strings.Join(strings.Fields(problem), " "))
	h.cfg.Progress("FOUND: " + problem)
}

// probeItem is sold by faults and probes alone.
const probeItem = "PROBE"

// extra makes an event of a fault or a probe: one piece sold.
func (h *house) extra(name string) (event.Any, error) {
	e, err := eventOf(h.cfg.Seed, name, opening, event.SaleCompleted{
		SaleID: name, ItemID: probeItem, LocationID: locations[0], Quantity: event.NewDecimal(1), Amount: event.NewDecimal(1), Timestamp: opening,
	})
	if err == nil {
		h.mu.Lock()
		h.extras = append(h.extras, e)
		h.mu.Unlock()
	}
	return e, err
}

// close ends everything. keep leaves data and logs where they are.
func (h *house) close(ctx context.Context, keep bool) error {
	for _, m := range h.fleet {
		m.close()
	}
	for _, db := range []*store.DB{h.direct, h.patient} {
		if db != nil {
			db.Close()
		}
	}
	if h.super != nil {
		h.super.Close()
	}
	if h.supplier != nil {
		h.supplier.server.Close()
	}
	switch {
	case h.servers == nil:
		return nil
	case keep:
		return h.servers.Stop(ctx)
	}
	return h.servers.Discard(ctx)
}
