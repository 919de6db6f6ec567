package storetest

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// TestMain lets more tests run at once than there are cores: most of them wait for the server.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set("4")
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen: far longer than it takes.
const Patience = 20 * time.Second

// place is a migrated database of a test's own, and a pool on it.
type Env struct {
	testing.TB
	*store.DB
	URL string
}

// newPlace opens a database. Its transactions may idle as long as the test likes.
func NewEnv(t testing.TB, connections int) *Env {
	t.Helper()
	at := WithParameter(URL(t), "idle_in_transaction_session_timeout", "0")
	return &Env{TB: t, DB: Open(t, at, connections), URL: at}
}

// SQL is the pool itself, for statements of the test's own.
func (p *Env) SQL() *sql.DB { return pg.Pool(p.DB) }

func WithParameter(databaseURL, key, value string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		panic(err)
	}
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// begin opens a transaction that is rolled back with the test unless it ends before.
func (p *Env) OpenTx() *store.Transaction {
	p.Helper()
	tx, err := p.Begin(context.Background())
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { tx.Rollback() })
	return tx
}

func (p *Env) Exec(query string, args ...any) {
	p.Helper()
	if _, err := p.SQL().ExecContext(context.Background(), query, args...); err != nil {
		p.Fatalf("%s: %v", query, err)
	}
}

// value reads one value.
func One[T any](t testing.TB, db *sql.DB, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until the condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", Patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// waitsForLock polls until n backends of the database wait for a lock: then
// what was started beside the test has come as far as it can.
func (p *Env) AwaitLockWaiters(n int) {
	p.Helper()
	Eventually(p, fmt.Sprintf("%d backends wait for a lock", n), func() bool {
		return One[int](p, p.SQL(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) >= n
	})
}

// sale is an event as an outsider sends it.
func Sale(aggregate string) event.Any {
	return SaleWith(uuid.New(), aggregate, 1)
}

// saleWith is an event whose body tells n.
func SaleWith(id uuid.UUID, aggregate string, n int) event.Any {
	at := time.Date(2011, 8, 1, 9, 30, 0, 123456000, time.UTC)
	body := fmt.Sprintf(`{"eventId":%q,"eventType":"SALE_COMPLETED","aggregateId":%q,"payload":{"quantity":%d}}`, id, aggregate, n)
	return event.Any{
		Envelope: event.Envelope{
			ID: id, Type: event.TypeSaleCompleted, AggregateType: "Sale", AggregateID: aggregate, TenantID: "shop", Timestamp: at, Version: "1.0",
		},
		Body: []byte(body),
	}
}

// append commits one event in a transaction of its own.
func (p *Env) Append(e event.Any) {
	p.Helper()
	Must(p, p.InTx(context.Background(), func(tx store.Tx) error {
		return eventlog.Append(context.Background(), tx, []event.Any{e})
	}))
}

// ticker is a ticker that leads and goes step by step.
type Ticker struct {
	*Env
	*eventlog.Ticker
	Lease store.Lease
}

func (p *Env) NewTicker() *Ticker {
	p.Helper()
	lease, err := store.AcquireLease(context.Background(), p.DB, "ticker", p.Name())
	Must(p, err)
	return &Ticker{Env: p, Ticker: eventlog.NewTicker(p.DB, Quiet()), Lease: lease}
}

// tick makes a tick, which must be due, and gives its id.
func (t *Ticker) Tick() int64 {
	t.Helper()
	made, err := t.Step(context.Background(), t.Lease)
	Must(t, err)
	if !made {
		t.Fatal("no tick was due")
	}
	return One[int64](t, t.SQL(), `SELECT max(id) FROM tick`)
}

// reader is a cursor of its own and what it has passed.
type Reader struct {
	*Env
	Lease store.Lease
	At    eventlog.Cursor
}

func (p *Env) NewReader(name string) *Reader {
	p.Helper()
	lease, err := store.AcquireLease(context.Background(), p.DB, name, "reader")
	Must(p, err)
	at, err := eventlog.OpenCursor(context.Background(), p.DB, lease)
	Must(p, err)
	return &Reader{Env: p, Lease: lease, At: at}
}

// readAll pages to the newest tick and gives the ids of the events, in order.
func (r *Reader) ReadAll(limit int) []uuid.UUID {
	r.Helper()
	var ids []uuid.UUID
	for {
		page, err := eventlog.ReadPage(context.Background(), r.Env.DB, r.At, limit)
		Must(r, err)
		if page.Next == r.At {
			return ids
		}
		Must(r, eventlog.MoveCursor(context.Background(), r.Env.DB, r.At, page.Next))
		r.At = page.Next
		for _, e := range page.Events {
			ids = append(ids, e.EventID)
		}
	}
}

func Quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// isError fails the test unless err is target.
func IsError(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
}

func AnySales(n int) []event.Any {
	var list []event.Any
	for range n {
		list = append(list, Sale("a"))
	}
	return list
}

func OpenAt(t testing.TB, databaseURL string) *store.DB {
	t.Helper()
	return Open(t, databaseURL, 4)
}

// must2 is must for a call that gives a value too.
func Must2[T any](_ T, err error) func(testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		Must(t, err)
	}
}

// way is a network of the test's own to the server, and the URL that leads through it.
func Proxied(t testing.TB, databaseURL string) (*proxy.Proxy, string) {
	t.Helper()
	p, through, err := proxy.Before(databaseURL)
	Must(t, err)
	t.Cleanup(p.Close)
	return p, through
}
