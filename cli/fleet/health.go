package fleet

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/runtime/observer"
)

const (
	// healthTimeout bounds the question to each server.
	healthTimeout = 2 * time.Second
	// healthAge is how long an answer is repeated: many may ask.
	healthAge = time.Second
)

// health tells whether the servers of this process answer, for /healthz.
type health struct {
	db     *store.DB // one connection
	broker rabbitmq.Config

	mu       sync.Mutex
	observer observer.Observer
	at       time.Time
	away     string
}

func newHealth(db *store.DB, broker rabbitmq.Config) *health {
	broker.Name, broker.DialTimeout, broker.CloseTimeout = "health", healthTimeout, healthTimeout/4
	return &health{db: db, broker: broker, observer: observer.Observer{DB: db, Broker: broker}}
}

// close ends the connections.
func (h *health) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observer.Close()
	h.db.Close()
}

// ServeHTTP answers 200 and ok, or 503 and a line for each server that does not answer.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	away := h.check(r.Context())
	if away != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, away)
		return
	}
	fmt.Fprintln(w, "ok")
}

// check has a line for each server that does not answer.
func (h *health) check(ctx context.Context) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.at) < healthAge {
		return h.away
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	database, broker := h.observer.Answer(ctx)
	var away strings.Builder
	for _, server := range []struct {
		name string
		err  error
	}{{"database", database}, {"broker", broker}} {
		if server.err != nil {
			fmt.Fprintf(&away, "%s: %s\n", server.name, wording.OneLine(server.err.Error()))
		}
	}
	h.at, h.away = time.Now(), away.String()
	return h.away
}
