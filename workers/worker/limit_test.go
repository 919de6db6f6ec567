package worker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/limits"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// counting is a dependency that remembers how many calls it had at once; each call lasts until release is
// closed.
type counting struct {
	*httptest.Server
	calls, now, most atomic.Int64
	release          chan struct{}
}

func newCounting(t testing.TB) *counting {
	t.Helper()
	c := &counting{release: make(chan struct{})}
	c.Server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		now := c.now.Add(1)
		for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
		}
		<-c.release
		c.now.Add(-1)
		c.calls.Add(1)
	}))
	t.Cleanup(c.Close)
	return c
}

// caller calls a dependency for each sale.
func caller(to string) worker.Worker {
	breakers := &worker.Breakers{}
	post := webcall.Caller{Breakers: breakers}
	return worker.New("caller", worker.WithBreakers(breakers), worker.OnCall(func(ctx context.Context, e event.Of[event.SaleCompleted]) (worker.Record, error) {
		_, err := post.Post(ctx, to, e.ID.String(), []byte("{}"))
		return func(_ context.Context, tx *worker.Tx) error { return echo(tx, e.Envelope) }, err
	}))
}

// The fleet keeps a dependency's limit, over the slots of several processes; all calls are made, each once.
func TestALimitOfCallsAtOnce(t *testing.T) {
	t.Parallel()
	const n, limit = 24, 2
	to := newCounting(t)
	w := caller(to.URL)
	h := newEnv(t, w)
	set := func(calls int) {
		t.Helper()
		storetest.MustGet(limits.Set(t.Context(), h.DB, operatorlog.By{Operator: "ann"}, webcall.Dependency(to.URL+"/orders"), calls))(t)
	}
	set(limit)
	one, _ := h.scaled(w, 4)
	two, _ := h.scaled(caller(to.URL), 4)
	h.Eventually("8 slots run", func() bool { return one.Activity().Running+two.Activity().Running == 8 })
	h.Publish(sales(t, n)...)
	h.Eventually("as many calls are under way as may be", func() bool { return to.now.Load() == limit })
	h.Eventually("the other slots wait", func() bool { return one.Activity().Busy+two.Activity().Busy == 8 })
	if list := storetest.MustGet(limits.List(t.Context(), h.DB))(t); len(list) != 1 || list[0].UnderWay != limit {
		t.Errorf("the limits are %+v", list)
	}
	close(to.release)
	h.wantEffects(n)
	if most := to.most.Load(); most != limit || to.calls.Load() != n {
		t.Errorf("%d calls, %d of them at once, want %d and %d", to.calls.Load(), most, n, limit)
	}
	h.Eventually("all permits are returned", func() bool { return storetest.Value[int](t, h.URL, `SELECT count(*) FROM dependency_call`) == 0 })
	if failed := storetest.Value[int](t, h.URL, `SELECT count(*) FROM failure`); failed != 0 {
		t.Errorf("waiting for a permit is %d failures", failed)
	}
}

// A permit that a dead process holds expires, and the calls that waited for it are made.
func TestThePermitOfADeadProcessExpires(t *testing.T) {
	t.Parallel()
	to := newCounting(t)
	close(to.release)
	w := caller(to.URL)
	h := newEnv(t, w)
	storetest.MustGet(limits.Set(t.Context(), h.DB, operatorlog.By{Operator: "ann"}, webcall.Dependency(to.URL), 1))(t)
	storetest.MustGet(limits.Request(t.Context(), h.DB, webcall.Dependency(to.URL)))(t)
	r, _ := h.scaled(w, 1)
	h.Publish(workertest.Sale(t, "cup", "shop", "1"))
	h.Eventually("the call waits", func() bool { return r.Activity().Busy == 1 })
	if to.calls.Load() != 0 {
		t.Fatal("it was made beside the limit")
	}
	storetest.Exec(t, h.URL, `UPDATE dependency_call SET expires_at = clock_timestamp()`)
	h.wantEffects(1)
}
