package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
)

func hear(t testing.TB, hints <-chan struct{}, what string) {
	t.Helper()
	select {
	case _, open := <-hints:
		if !open {
			t.Fatalf("the channel is closed; %s", what)
		}
	case <-time.After(localtest.Deadline(patience)):
		t.Fatal(localtest.Late(patience, "something is heard; "+what))
	}
}

func TestTicksAreHeard(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	hints := p.Listen(ctx, store.TickChannel)
	hear(t, hints, "the connection stands")
	ticker := p.newTicker()
	p.append(sale("a"))
	ticker.tick()
	hear(t, hints, "a tick was made")

	// Many come as one: nobody is held up by a listener that does not listen.
	for range 200 {
		p.exec(`SELECT pg_notify($1, '')`, store.TickChannel)
	}
	p.exec(`SELECT pg_notify('another', '')`)
	hear(t, hints, "200 were notified")
	stop()
	for {
		select {
		case _, open := <-hints:
			if !open {
				eventually(t, "its connection is closed", func() bool { return p.listeners() == 0 })
				return
			}
		case <-time.After(localtest.Deadline(patience)):
			t.Fatal(localtest.Late(patience, "the channel is closed with its context"))
		}
	}
}

// listeners counts the connections that listen.
func (p *place) listeners() int {
	p.Helper()
	return value[int](p, p.SQL(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'`)
}

func TestListeningGoesOnWhenItsConnectionIsLost(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	hints := p.Listen(t.Context(), store.TickChannel)
	hear(t, hints, "the connection stands")
	for range 2 {
		must2(p.SQL().Exec(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'`))(t)
		hear(t, hints, "the connection stands again, and something may have been missed")
		eventually(t, "it listens", func() bool { return p.listeners() == 1 })
		p.exec(`SELECT pg_notify($1, '')`, store.TickChannel)
		hear(t, hints, "something was notified")
	}
}

func TestListeningToAServerThatIsGone(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	cut, through := way(t, p.url)
	db := openAt(t, through)
	cut.Shut()
	ctx, stop := context.WithCancel(t.Context())
	hints := db.Listen(ctx, store.TickChannel)
	stop()
	select {
	case _, open := <-hints:
		if open {
			t.Error("something was heard")
		}
	case <-time.After(localtest.Deadline(patience)):
		t.Error(localtest.Late(patience, "the channel is closed with its context"))
	}
}
