package storetest

import (
	"context"
	"log/slog"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// Ticker leads and makes ticks one by one.
type Ticker struct {
	*Env
	*eventlog.Ticker
	Lease store.Lease
}

// NewTicker acquires the ticker's lease.
func (p *Env) NewTicker() *Ticker {
	p.Helper()
	lease := MustGet(store.AcquireLease(context.Background(), p.DB, "ticker", p.Name()))(p)
	return &Ticker{Env: p, Ticker: eventlog.NewTicker(p.DB, slog.New(slog.DiscardHandler)), Lease: lease}
}

// Tick makes a tick, which must be due, and returns its id.
func (t *Ticker) Tick() int64 {
	t.Helper()
	made, err := t.Step(context.Background(), t.Lease)
	Must(t, err)
	if !made {
		t.Fatal("no tick was due")
	}
	return One[int64](t, t.SQL(), `SELECT max(id) FROM tick`)
}

// Reader is a cursor of its own.
type Reader struct {
	*Env
	Lease store.Lease
	At    eventlog.Cursor
}

// NewReader acquires the reader's lease and opens its cursor.
func (p *Env) NewReader(name string) *Reader {
	p.Helper()
	lease := MustGet(store.AcquireLease(context.Background(), p.DB, name, "reader"))(p)
	return &Reader{Env: p, Lease: lease, At: MustGet(eventlog.OpenCursor(context.Background(), p.DB, lease))(p)}
}

// ReadAll pages to the newest tick and returns the ids of the events, in order.
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
