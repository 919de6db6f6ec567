package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/deploy/chaos/laneorder"
	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers"
)

// environment is everything of a run: servers, fleet, supplier and findings.
type environment struct {
	cfg              Config
	servers          *local.Servers
	access           access    // of the fleet's users
	super            *sql.DB   // of the superuser, for faults and the proof
	direct           *store.DB // around the proxies
	openTransactions *store.DB // whose transactions may stay open
	management       *management.Client
	broker           rabbitmq.Config // around the proxies
	vhost            string          // of the broker's URL
	fleet            []*member
	supplier         *supplier
	eventsDeleted    atomic.Bool // a fault has deleted composerp.events

	mu       sync.Mutex
	extras   []event.Any // events of faults and probes
	findings []string
}

// fleetSize is how many processes the fleet has.
const fleetSize = 2

// startTimeout bounds the start of the servers, and then that of the fleet.
const startTimeout = 2 * time.Minute

// build starts the servers, prepares them, and starts the fleet. The environment must be closed after an error too.
func build(ctx context.Context, cfg Config) (env *environment, err error) {
	env = &environment{cfg: cfg}
	cfg.Progress("starting PostgreSQL and RabbitMQ on loopback, data in " + cfg.Dir)
	if env.servers, err = local.Start(ctx, local.Config{Dir: cfg.Dir, Log: cfg.Log, StartTimeout: cfg.allow(startTimeout)}); err != nil {
		return env, err
	}
	if env.supplier, err = openSupplier(context.WithoutCancel(ctx)); err != nil {
		return env, err
	}
	if err := env.connect(ctx); err != nil {
		return env, err
	}
	if err := env.prepare(ctx); err != nil {
		return env, err
	}
	return env, env.startFleet(ctx)
}

func (env *environment) connect(ctx context.Context) (err error) {
	if env.super, err = env.servers.Superuser(); err != nil {
		return fmt.Errorf("connecting as superuser: %w", err)
	}
	env.super.SetMaxIdleConns(2)
	if env.direct, err = store.Open(ctx, store.Config{URL: env.servers.DatabaseURL, Name: "chaos", Connections: 4}); err != nil {
		return err
	}
	if env.openTransactions, err = store.Open(ctx, store.Config{URL: env.servers.DatabaseURL + openTransactionsURL, Name: "chaos/open", Connections: 2}); err != nil {
		return err
	}
	env.broker = rabbitmq.Config{URLs: []string{env.servers.AMQPURL}, Name: "chaos", Log: env.cfg.Log}
	if env.vhost, err = env.broker.Vhost(); err != nil {
		return err
	}
	if env.management, err = management.New(env.servers.ManagementURL); err != nil {
		return err
	}
	env.access, err = newAccess(ctx, env.servers)
	return err
}

// prepare makes schema, topology and master data. Every position has a rule. Policy approves its orders, and the
// supplier gets them.
func (env *environment) prepare(ctx context.Context) error {
	if _, err := store.Migrate(ctx, env.direct); err != nil {
		return err
	}
	if _, err := grants.Apply(ctx, env.direct); err != nil {
		return err
	}
	if err := errors.Join(eventlog.EnsurePartitions(ctx, env.direct), rabbitmq.Apply(ctx, workers.Topology(), env.broker)); err != nil {
		return err
	}
	if err := laneorder.Watch(ctx, env.super, ordered); err != nil {
		return err
	}
	allLocations := pq.StringArray(locations)
	for _, statement := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO tenant_setting (tenant_id, approval_limit) VALUES ($1, 1000000)`, []any{tenant}},
		{`INSERT INTO location (tenant_id, location_id, kind) SELECT $1, l, 'stock' FROM unnest($2::text[]) l`, []any{tenant, allLocations}},
		{`INSERT INTO item (tenant_id, item_id, name, incomplete, unit_cost)
		  SELECT $1, 'SKU-' || lpad(i::text, 3, '0'), 'Item ' || i, false, 2.50 FROM generate_series(0, $2::int - 1) i`, []any{tenant, items}},
		{`INSERT INTO supplier (tenant_id, supplier_id, name, lead_time_days, endpoint) VALUES ($1, 'SUPPLIER', 'Supplier', 5, $2)`, []any{tenant, env.supplier.address}},
		{`INSERT INTO replenishment_rule (tenant_id, item_id, location_id, low_stock_threshold, supplier_id, reorder_point, order_quantity)
		  SELECT $1, 'SKU-' || lpad(i::text, 3, '0'), l, $4, 'SUPPLIER', $5, 40 FROM generate_series(0, $2::int - 1) i, unnest($3::text[]) l`,
			[]any{tenant, items, allLocations, openingStock - 20, openingStock - 10}},
	} {
		if _, err := env.super.ExecContext(ctx, statement.text, statement.args...); err != nil {
			return fmt.Errorf("making master data: %w", err)
		}
	}
	return nil
}

func (env *environment) startFleet(ctx context.Context) error {
	env.cfg.Progress(fmt.Sprintf("starting %d processes of %s", fleetSize, env.cfg.Program))
	for i := range fleetSize {
		m, err := newMember(fmt.Sprintf("fleet-%d", i+1), env.cfg.Dir, env.cfg.Program, env.servers.Endpoints, env.cfg.Environment, env.addFinding)
		if err != nil {
			return err
		}
		env.fleet = append(env.fleet, m)
		if err := m.start(); err != nil {
			return err
		}
	}
	for _, m := range env.fleet {
		for !m.up() {
			if !clock.Sleep(ctx, retryPause) {
				return fmt.Errorf("waiting for %s to be up: %w", m.name, ctx.Err())
			}
		}
	}
	return nil
}

// addFinding adds a finding, on one line.
func (env *environment) addFinding(problem string) {
	env.mu.Lock()
	env.findings = append(env.findings, wording.OneLine(problem))
	env.mu.Unlock()
	env.cfg.Progress("FOUND: " + problem)
}

// found are the findings so far.
func (env *environment) found() []string {
	env.mu.Lock()
	defer env.mu.Unlock()
	return slices.Clone(env.findings)
}

// probeItem is sold by faults and probes only.
const probeItem = "PROBE"

// extra makes an event for a fault or a probe: one piece sold.
func (env *environment) extra(name string) (event.Any, error) {
	e, err := eventOf(env.cfg.Seed, name, opening, event.SaleCompleted{
		SaleID: name, ItemID: probeItem, LocationID: locations[0], Quantity: event.NewDecimal(1), Amount: event.NewDecimal(1), Timestamp: opening,
	})
	if err == nil {
		env.mu.Lock()
		env.extras = append(env.extras, e)
		env.mu.Unlock()
	}
	return e, err
}

// close ends everything. keep leaves data and logs in place.
func (env *environment) close(ctx context.Context, keep bool) error {
	for _, m := range env.fleet {
		m.close()
	}
	for _, db := range []*store.DB{env.direct, env.openTransactions} {
		if db != nil {
			db.Close()
		}
	}
	if env.super != nil {
		env.super.Close()
	}
	if env.supplier != nil {
		env.supplier.server.Close()
	}
	switch {
	case env.servers == nil:
		return nil
	case keep:
		return env.servers.Stop(ctx)
	}
	return env.servers.Discard(ctx)
}
