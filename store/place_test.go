package store_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
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
const patience = 20 * time.Second

// place is a migrated database of a test's own, and a pool on it.
type place struct {
	testing.TB
	*store.DB
	url string
}

// newPlace opens a database. Its transactions may idle as long as the test likes.
func newPlace(t testing.TB, connections int) *place {
	t.Helper()
	at := withParameter(storetest.URL(t), "idle_in_transaction_session_timeout", "0")
	return &place{TB: t, DB: storetest.Open(t, at, connections), url: at}
}

func withParameter(databaseURL, key, value string) string {
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
func (p *place) begin() *store.Tx {
	p.Helper()
	tx, err := p.Begin(context.Background())
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { tx.Rollback() })
	return tx
}

func (p *place) exec(query string, args ...any) {
	p.Helper()
	if _, err := p.SQL().ExecContext(context.Background(), query, args...); err != nil {
		p.Fatalf("%s: %v", query, err)
	}
}

// value reads one value.
func value[T any](t testing.TB, db *sql.DB, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	localtest.Eventually(t, patience, what, holds)
}

// waitsForLock polls until n backends of the database wait for a lock: then
// what was started beside the test has come as far as it can.
func (p *place) waitsForLock(n int) {
	p.Helper()
	eventually(p, fmt.Sprintf("%d backends wait for a lock", n), func() bool {
		return value[int](p, p.SQL(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) >= n
	})
}

// sale is an event as an outsider sends it.
func sale(aggregate string) event.Any {
	return saleWith(uuid.New(), aggregate, 1)
}

// saleWith is an event whose body tells n.
func saleWith(id uuid.UUID, aggregate string, n int) event.Any {
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
func (p *place) append(e event.Any) {
	p.Helper()
	must(p, p.InTx(context.Background(), func(tx *store.Tx) error {
		return tx.Append(context.Background(), []event.Any{e})
	}))
}

// ticker is a ticker that leads and goes step by step.
type ticker struct {
	*place
	*store.Ticker
	lease store.Lease
}

func (p *place) newTicker() *ticker {
	p.Helper()
	lease, err := p.Acquire(context.Background(), "ticker", p.Name())
	must(p, err)
	return &ticker{place: p, Ticker: store.NewTicker(p.DB, quiet()), lease: lease}
}

// tick makes a tick, which must be due, and gives its id.
func (t *ticker) tick() int64 {
	t.Helper()
	made, err := t.Step(context.Background(), t.lease)
	must(t, err)
	if !made {
		t.Fatal("no tick was due")
	}
	return value[int64](t, t.SQL(), `SELECT max(id) FROM tick`)
}

// reader is a cursor of its own and what it has passed.
type reader struct {
	*place
	lease store.Lease
	at    store.Cursor
}

func (p *place) newReader(name string) *reader {
	p.Helper()
	lease, err := p.Acquire(context.Background(), name, "reader")
	must(p, err)
	at, err := p.OpenCursor(context.Background(), lease)
	must(p, err)
	return &reader{place: p, lease: lease, at: at}
}

// readAll pages to the newest tick and gives the ids of the events, in order.
func (r *reader) readAll(limit int) []uuid.UUID {
	r.Helper()
	var ids []uuid.UUID
	for {
		page, err := r.ReadPage(context.Background(), r.at, limit)
		must(r, err)
		if page.Next == r.at {
			return ids
		}
		must(r, r.MoveCursor(context.Background(), r.at, page.Next))
		r.at = page.Next
		for _, e := range page.Events {
			ids = append(ids, e.EventID)
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// isError fails the test unless err is target.
func isError(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
}

func anySales(n int) []event.Any {
	var list []event.Any
	for range n {
		list = append(list, sale("a"))
	}
	return list
}

func openAt(t testing.TB, databaseURL string) *store.DB {
	t.Helper()
	return storetest.Open(t, databaseURL, 4)
}

// must2 is must for a call that gives a value too.
func must2[T any](_ T, err error) func(testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		must(t, err)
	}
}

// way is a network of the test's own to the server, and the URL that leads through it.
func way(t testing.TB, databaseURL string) (*proxy.Proxy, string) {
	t.Helper()
	p, through, err := proxy.Before(databaseURL)
	must(t, err)
	t.Cleanup(p.Close)
	return p, through
}
