package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

type eventID = uuid.UUID

func (p *place) consumer(name string) store.ConsumerID {
	p.Helper()
	id, err := p.Subscribe(context.Background(), name, []string{"SALE_COMPLETED"})
	must(p, err)
	return id
}

func (p *place) claims(tx store.Tx, consumer store.ConsumerID, ids ...eventID) map[eventID]bool {
	p.Helper()
	claimed, err := tx.Claim(context.Background(), consumer, ids)
	must(p, err)
	return claimed
}

// expire ends a lease as time would: its holder, stalled, has not renewed it.
func (p *place) expire(name string) {
	p.Helper()
	p.exec(`UPDATE lease SET expires_at = clock_timestamp() - interval '1 ms' WHERE name = $1`, name)
}

func key(item, location string) store.PositionKey {
	return store.PositionKey{Tenant: "shop", Item: item, Location: location}
}

func decimal(t testing.TB, text string) event.Decimal {
	t.Helper()
	d, err := event.ParseDecimal(text)
	must(t, err)
	return d
}

// found gives what a look gave, or ends the test.
func found[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func idsOf(events []event.Any) (ids []eventID) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

var ruleTime = time.Date(2026, 2, 9, 12, 0, 0, 0, time.UTC)

func number(t testing.TB, text string) *event.Decimal {
	t.Helper()
	d := decimal(t, text)
	return &d
}
