package inbox_test

import (
	"context"
	"testing"

	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
)

// A process restarts more often than there are small numbers.
func TestSubscribingAgainUsesUpNoIDs(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	p.Exec(`ALTER TABLE consumer ALTER COLUMN id SET MAXVALUE 3`)
	first := p.Consumer("one")
	for range 5 {
		if again := p.Consumer("one"); again != first {
			t.Fatalf("ids are %d and %d", first, again)
		}
	}
	if other := p.Consumer("two"); other == first {
		t.Errorf("both are %d", other)
	}
	var run []func(context.Context) error
	ids := make([]inbox.ConsumerID, 4)
	for i := range ids {
		run = append(run, func(ctx context.Context) (err error) {
			ids[i], err = inbox.Subscribe(ctx, p.DB, "two", []string{"SALE_COMPLETED"})
			return err
		})
	}
	storetest.Concurrently(t, run...)
}

func TestASubscriptionKeepsItsBeginning(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	from := func() string {
		return storetest.One[string](t, p.SQL(), `SELECT string_agg(type || ' ' || from_tick, ', ' ORDER BY type) FROM subscription`)
	}
	subscribe := func(types ...string) { storetest.MustGet(inbox.Subscribe(t.Context(), p.DB, "worker", types))(t) }
	later := func(id int) {
		p.Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) VALUES ($1, 1, pg_current_snapshot(), 0, 0)`, id)
	}
	subscribe("A", "B")
	later(5)
	subscribe("A", "B", "C")
	if got := from(); got != "A 0, B 0, C 5" {
		t.Errorf("subscriptions are %s", got)
	}
	later(9)
	subscribe("B", "C")
	subscribe("B", "C", "A")
	if got := from(); got != "A 9, B 0, C 5" {
		t.Errorf("subscriptions are %s", got)
	}
}
