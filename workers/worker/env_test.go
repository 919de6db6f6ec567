package worker_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// env is a test environment for handlers that emit one event for each that they handle: see echo.
type env struct{ *workertest.Env }

func newEnv(t testing.TB, workers ...worker.Worker) *env {
	t.Helper()
	return &env{workertest.NewEnv(t, workers...)}
}

// retryDelay is the tests' only delay, so that a second try comes soon.
const retryDelay = 100 * time.Millisecond

// effects is how many emitted events the log holds, and how many different ones.
func (h *env) effects() (all, different int) {
	h.Helper()
	return storetest.Value[int](h, h.URL, `SELECT count(*) FROM event_log WHERE publish`), storetest.Value[int](h, h.URL, `SELECT count(DISTINCT event_id) FROM event_log WHERE publish`)
}

// wantEffects waits until n events have had their effect, and fails when any has had it twice.
func (h *env) wantEffects(n int) {
	h.Helper()
	h.Eventually(fmt.Sprintf("%d effects", n), func() bool {
		all, _ := h.effects()
		return all >= n
	})
	if all, different := h.effects(); all != n || different != n {
		h.Fatalf("want %d effects, got %d of %d events", n, all, different)
	}
}

// closeConnections has the broker close every connection of the worker named echo, and gives how many there were.
func (h *env) closeConnections() int {
	h.Helper()
	closed := 0
	for _, c := range rabbitmqtest.Connections(h, h.Broker) {
		if bytes.HasPrefix([]byte(c.Properties.ClientName), []byte("composerp/echo@")) && rabbitmqtest.CloseConnection(h, c.Name) {
			closed++
		}
	}
	return closed
}
