package workers_test

import (
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/audit"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// history is what the fleet has made of a few true events, at rest: a database
// to be copied, and the vhost that the fleet left behind.
type history struct {
	testing.TB
	server, name string // of the database
	exchange     rabbitmq.Config

	// earlier was proven, and a checkpoint made, before all others.
	earlier event.Any

	sale, refund, receipt, transfer, arrival, adjustment, count event.Any
	// straight came over AMQP, poison no ledger can book, last is the newest sale of all.
	straight, poison, last event.Any
	// known is what stood there before straight was sold.
	known event.Any
	// lateCount is a count of one item, and late a sale of before it that came after it.
	lateCount, late event.Any
}

// newHistory runs the real fleet on events of every kind until the audit itself
// says that it is at rest, and stops it.
func newHistory(t *testing.T) *history {
	t.Helper()
	fleet := workers.Fleet(workers.Config{})
	env := workertest.NewEnv(t, fleet...)
	h := &history{TB: t, server: localtest.Database(t), name: databaseName(t, env.URL), exchange: env.Broker}
	h.makeEvents()
	h.plan(env.URL)
	end := env.StartFleet(fleet...)
	env.Admit(h.earlier)
	h.rest(env.DB, true)
	for _, e := range []event.Any{h.receipt, h.sale, h.refund, h.transfer, h.arrival, h.adjustment, h.count, h.poison, h.lateCount, h.late, h.known} {
		env.Admit(e)
	}
	h.rest(env.DB, false) // known comes through the log, and straight does not
	for range 2 {
		env.Publish(h.straight)
	}
	h.rest(env.DB, false)
	env.Admit(h.last)
	h.rest(env.DB, false)
	end()
	// A database with connections cannot be copied.
	env.DB.Close()
	storetest.EndSessions(env.URL)
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

func (h *history) makeEvents() {
	h.earlier = workertest.Receipt(h, "C", "shop", "5")
	h.receipt = workertest.Receipt(h, "A", "shop", "10")
	h.sale = workertest.Sale(h, "A", "shop", "3")
	h.refund = workertest.Sale(h, "A", "shop", "-1")
	h.transfer = workertest.Transfer(h, "A", "shop", "depot", "4.5")
	h.arrival = workertest.Arrival(h, "A", "depot", "4.5", "transfer-1")
	h.adjustment = workertest.Adjustment(h, "A", "depot", "-0.5")
	h.count = workertest.Count(h, "A", "shop", "7")
	h.known = workertest.Count(h, "B", "shop", "1")
	h.straight = workertest.Sale(h, "B", "shop", "2")
	h.poison = workertest.Sale(h, "A", "@loss", "1")
	h.last = workertest.Sale(h, "A", "shop", "1")
	h.lateCount = workertest.Count(h, "D", "shop", "5")
	h.late = workertest.Event(h, event.SaleCompleted{
		SaleID: "late", ItemID: "D", LocationID: "shop", Quantity: workertest.Decimal("2"), Amount: workertest.Decimal("2"), Timestamp: workertest.Day.Add(-time.Hour),
	}, func(env *event.Envelope) { env.Timestamp = workertest.Day.Add(-time.Hour) })
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
		DB: db, Broker: h.exchange, Management: rabbitmqtest.Management(h), Topology: workers.Topology(), Forget: !checkpoint, Wait: time.Minute, Settle: 300 * time.Millisecond,
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
	u, err := url.Parse(h.server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	t.Cleanup(func() {
		storetest.EndSessions(u.String())
		storetest.Exec(h, h.server, fmt.Sprintf(`DROP DATABASE %s`, name))
	})
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
