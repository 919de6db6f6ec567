package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/masterdata"
)

type EventID = uuid.UUID

func (p *Env) Consumer(name string) inbox.ConsumerID {
	p.Helper()
	id, err := inbox.Subscribe(context.Background(), p.DB, name, []string{"SALE_COMPLETED"})
	Must(p, err)
	return id
}

func (p *Env) Claims(tx store.Tx, consumer inbox.ConsumerID, ids ...EventID) map[EventID]bool {
	p.Helper()
	claimed, err := inbox.Claim(context.Background(), tx, consumer, ids)
	Must(p, err)
	return claimed
}

// expire ends a lease as time would: its holder, stalled, has not renewed it.
func (p *Env) Expire(name string) {
	p.Helper()
	p.Exec(`UPDATE lease SET expires_at = clock_timestamp() - interval '1 ms' WHERE name = $1`, name)
}

func PositionKey(item, location string) masterdata.PositionKey {
	return masterdata.PositionKey{Tenant: "shop", Item: item, Location: location}
}

func Decimal(t testing.TB, text string) event.Decimal {
	t.Helper()
	d, err := event.ParseDecimal(text)
	Must(t, err)
	return d
}

// found gives what a look gave, or ends the test.
func Found[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		Must(t, err)
		return v
	}
}

func IDs(events []event.Any) (ids []EventID) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

var Morning = time.Date(2026, 2, 9, 12, 0, 0, 0, time.UTC)

func DecimalPtr(t testing.TB, text string) *event.Decimal {
	t.Helper()
	d := Decimal(t, text)
	return &d
}
