package workers_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/audit"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/exchangetest"
	"github.com/composerp/composerp/exchange/relay"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// history is what the fleet has made of a few true events, at rest: a database
// to be copied, and the vhost that the fleet left behind.
type history struct {
	testing.TB
	server, name string // of the database
	exchange     exchange.Config

	// earlier was proven, and a checkpoint made, before all others.
	earlier event.Any

	sale, refund, receipt, transfer, arrival, adjustment, count event.Any
	// straight came over AMQP, poison no ledger can book, last is the newest sale of all.
	straight, poison, last event.Any
}

// newHistory runs the real fleet on events of every kind until the audit itself
// says that it is at rest, and stops it.
func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{TB: t, server: localtest.Database(t), exchange: exchangetest.Vhost(t)}
	h.say()
	databaseURL := storetest.URL(t)
	h.plan(databaseURL)
	h.name = databaseName(t, databaseURL)
	if err := workers.Topology().Apply(t.Context(), h.exchange); err != nil {
		t.Fatal(err)
	}
	stop := startFleet(t, databaseURL, h.exchange)
	db := open(t, databaseURL)
	defer db.Close()
	if _, err := db.Admit(t.Context(), []event.Any{h.earlier}, true); err != nil {
		t.Fatal(err)
	}
	h.rest(db, true)
	for _, e := range []event.Any{h.receipt, h.sale, h.refund, h.transfer, h.arrival, h.adjustment, h.count, h.poison} {
		if v, err := db.Admit(t.Context(), []event.Any{e}, true); err != nil || v[0] != store.Admitted {
			t.Fatalf("admitting %s: %v, %v", e.ID, v, err)
		}
	}
	h.sendStraight()
	h.rest(db, false)
	if _, err := db.Admit(t.Context(), []event.Any{h.last}, true); err != nil {
		t.Fatal(err)
	}
	h.rest(db, false)
	stop()
	storetest.EndSessions(databaseURL) // The database is copied from now on.
	return h
}

// plan makes the straight sale order more of what it sold: by policy, from a supplier who is written to by hand.
func (h *history) plan(databaseURL string) {
	for _, statement := range []string{
		`INSERT INTO tenant_setting (tenant_id, approval_limit) VALUES ($1, 100)`,
		`INSERT INTO supplier (tenant_id, supplier_id, lead_time_days) VALUES ($1, 'smith', 3)`,
		`INSERT INTO item (tenant_id, item_id, unit_cost) VALUES ($1, 'B', 1.5)`,
		`INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point, order_up_to) VALUES ($1, 'B', 'shop', 'smith', 0, 10)`,
	} {
		storetest.Exec(h, databaseURL, statement, workertest.Tenant)
	}
}

func (h *history) say() {
	h.earlier = workertest.Receipt(h, "C", "shop", "5")
	h.receipt = workertest.Receipt(h, "A", "shop", "10")
	h.sale = workertest.Sale(h, "A", "shop", "3")
	h.refund = workertest.Sale(h, "A", "shop", "-1")
	h.transfer = workertest.Transfer(h, "A", "shop", "depot", "4.5")
	h.arrival = workertest.Arrival(h, "A", "depot", "4.5", "transfer-1")
	h.adjustment = workertest.Adjustment(h, "A", "depot", "-0.5")
	h.count = workertest.Count(h, "A", "shop", "7")
	h.straight = workertest.Sale(h, "B", "shop", "2")
	h.poison = workertest.Sale(h, "A", "@loss", "1")
	h.last = workertest.Sale(h, "A", "shop", "1")
}

// sendStraight publishes an event as an outsider with an AMQP client of its own does, twice.
func (h *history) sendStraight() {
	h.Helper()
	session, err := exchange.Open(h.Context(), h.exchange)
	if err != nil {
		h.Fatal(err)
	}
	defer session.Close()
	publisher, err := session.Publisher(1)
	if err != nil {
		h.Fatal(err)
	}
	for range 2 {
		c, err := publisher.Publish(h.Context(), workertest.Delivery(h.straight).Message)
		if err == nil {
			err = c.Wait(h.Context())
		}
		if err != nil {
			h.Fatal(err)
		}
	}
}

// rest waits until the audit proves what there is, and makes a checkpoint of it or not.
func (h *history) rest(db *store.DB, checkpoint bool) {
	h.Helper()
	deadline := time.Now().Add(localtest.Deadline(2 * time.Minute))
	for {
		report := h.audit(db, checkpoint)
		if report.Proven() {
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("%s:\n%s", localtest.Late(2*time.Minute, "the fleet's own history is proven"), report.Table())
		}
	}
}

// audit settles soon, for it is tried again: what is in hand may not be seen at first.
func (h *history) audit(db *store.DB, checkpoint bool) audit.Report {
	h.Helper()
	report, err := audit.Run(h.Context(), audit.Config{
		DB: db, Exchange: h.exchange, Management: exchangetest.Management(h), Topology: workers.Topology(), Forget: !checkpoint, Wait: localtest.Deadline(time.Minute), Settle: 300 * time.Millisecond,
	})
	if err != nil {
		h.Fatal(err)
	}
	return report
}

var copies atomic.Int64

// copy gives a database of its own with the whole history, to break.
func (h *history) copy(t *testing.T) (db *store.DB, databaseURL string) {
	t.Helper()
	name := fmt.Sprintf("%s_%d", h.name, copies.Add(1))
	storetest.Exec(t, h.server, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s`, name, h.name))
	// The test's own context is done by then, its parent's is not. FORCE would
	// have to end an autovacuum, which only a superuser may; without, it is waited for.
	t.Cleanup(func() { storetest.Exec(h, h.server, fmt.Sprintf(`DROP DATABASE %s`, name)) })
	u, err := url.Parse(h.server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	db = open(t, u.String())
	t.Cleanup(func() { db.Close() })
	return db, u.String()
}

func open(t testing.TB, databaseURL string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: databaseURL, Name: "test", Connections: 12})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func databaseName(t testing.TB, databaseURL string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path[1:]
}

// startFleet runs ticker, relay and every worker as `composerp up` does. stop
// returns when nothing of them is left.
func startFleet(t testing.TB, databaseURL string, at exchange.Config) (stop func()) {
	t.Helper()
	db := open(t, databaseURL)
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	said := &lockedBuffer{}
	log := slog.New(slog.NewTextHandler(said, nil))
	ticker := store.NewTicker(db, log)
	g.Go(func() error {
		db.Lead(ctx, "ticker", "test", ticker.Run, func(err error) { t.Errorf("the ticker stands still: %v", err) })
		return nil
	})
	r := &relay.Relay{DB: db, Exchange: at, Holder: "test", Log: log}
	g.Go(func() error { return r.Run(ctx) })
	started, failed := make(chan struct{}, 16), make(chan error, 16)
	for _, w := range workers.Fleet(workers.Config{}) {
		runner := &worker.Runner{Worker: w, DB: db, Exchange: at, Log: log, Started: func() { started <- struct{}{} }}
		g.Go(func() error {
			err := runner.Run(ctx)
			failed <- fmt.Errorf("worker %s has ended: %w", w.Name(), err)
			return err
		})
	}
	for range workers.Fleet(workers.Config{}) {
		select {
		case <-started:
		case err := <-failed:
			t.Fatalf("the fleet does not start: %v. It says:\n%s", err, said)
		case <-time.After(localtest.Deadline(2 * time.Minute)):
			t.Fatalf("%s. It says:\n%s", localtest.Late(2*time.Minute, "the fleet starts"), said)
		}
	}
	return func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("running the fleet: %v", err)
		}
		db.Close()
	}
}

// lockedBuffer keeps what the fleet says.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
