package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

func listen(t testing.TB, hints <-chan struct{}, what string) {
	t.Helper()
	select {
	case _, open := <-hints:
		if !open {
			t.Fatalf("the channel is closed; %s", what)
		}
	case <-time.After(localtest.Deadline(storetest.Timeout)):
		t.Fatalf("no hint came; %s", what)
	}
}

func TestTicksAreNotified(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	hints := p.Listen(ctx, eventlog.TickChannel)
	listen(t, hints, "the connection stands")
	ticker := p.NewTicker()
	p.Append(storetest.Sale("a"))
	ticker.Tick()
	listen(t, hints, "a tick was made")

	// Many arrive as one: a listener that does not receive delays no sender.
	for range 200 {
		p.Exec(`SELECT pg_notify($1, '')`, eventlog.TickChannel)
	}
	p.Exec(`SELECT pg_notify('another', '')`)
	listen(t, hints, "200 were notified")
	stop()
	for {
		select {
		case _, open := <-hints:
			if !open {
				storetest.Eventually(t, "its connection is closed", func() bool { return listeners(p) == 0 })
				return
			}
		case <-time.After(localtest.Deadline(storetest.Timeout)):
			t.Fatal("the channel is not closed with its context")
		}
	}
}

// listeners counts the connections that listen.
func listeners(p *storetest.Env) int {
	p.Helper()
	return storetest.One[int](p, p.SQL(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'`)
}

func TestListeningGoesOnWhenItsConnectionIsLost(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	hints := p.Listen(t.Context(), eventlog.TickChannel)
	listen(t, hints, "the connection stands")
	for range 2 {
		storetest.MustGet(p.SQL().Exec(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'`))(t)
		listen(t, hints, "the connection stands again, and something may have been missed")
		storetest.Eventually(t, "it listens", func() bool { return listeners(p) == 1 })
		p.Exec(`SELECT pg_notify($1, '')`, eventlog.TickChannel)
		listen(t, hints, "something was notified")
	}
}

func TestListeningToAServerThatIsGone(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	cut, through := storetest.Proxied(t, p.URL)
	db := storetest.Open(t, through, 4)
	cut.Shut()
	ctx, stop := context.WithCancel(t.Context())
	hints := db.Listen(ctx, eventlog.TickChannel)
	stop()
	select {
	case _, open := <-hints:
		if open {
			t.Error("a hint came")
		}
	case <-time.After(localtest.Deadline(storetest.Timeout)):
		t.Error("the channel is not closed with its context")
	}
}
