package fleet

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/runtime/observer"
)

const (
	// healthTimeout bounds the question to each server.
	healthTimeout = 2 * time.Second
	// healthAge is how long an answer is repeated: many may ask.
	healthAge = time.Second
)

// health tells of this process whether its servers answer, for /healthz, and whether it can handle events as it
// should, for /readyz.
type health struct {
	db   *store.DB // one connection
	node string    // this process in the fleet

	mu          sync.Mutex
	observer    observer.Observer
	away, unfit answer
}

// answer is what was found at a moment: a line for each reason; empty when all is well.
type answer struct {
	at    time.Time
	lines string
}

// newHealth asks the servers, and for the queues of the process's workers.
func newHealth(db *store.DB, broker rabbitmq.Config, node string, queues []topology.QueueSpec) *health {
	broker.Name, broker.DialTimeout, broker.CloseTimeout = "health", healthTimeout, healthTimeout/4
	return &health{db: db, node: node, observer: observer.Observer{DB: db, Broker: broker, Topology: topology.Topology{Queues: queues}}}
}

// close ends the connections.
func (h *health) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observer.Close()
	h.db.Close()
}

// healthz answers 200 and ok, or 503 and a line for each server that does not answer.
func (h *health) healthz(w http.ResponseWriter, r *http.Request) { h.serve(w, r, &h.away, h.findAway) }

// readyz answers 200 and ok, or 503 and a line for each server that does not answer, else for each reason why the
// process does not handle what it should: a migration or a queue that is missing, a drain.
func (h *health) readyz(w http.ResponseWriter, r *http.Request) { h.serve(w, r, &h.unfit, h.findUnfit) }

func (h *health) serve(w http.ResponseWriter, r *http.Request, last *answer, find func(context.Context) string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(last.at) >= healthAge {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), healthTimeout)
		defer cancel()
		lines := find(ctx)
		*last = answer{time.Now(), lines}
	}
	if last.lines != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, last.lines)
		return
	}
	fmt.Fprintln(w, "ok")
}

// findAway has a line for each server that does not answer.
func (h *health) findAway(ctx context.Context) string {
	database, broker := h.observer.Answer(ctx)
	return line("database", database) + line("broker", broker)
}

// findUnfit asks further where both servers answer.
func (h *health) findUnfit(ctx context.Context) string {
	if away := h.findAway(ctx); away != "" {
		return away
	}
	lines := line("schema", store.CheckSchema(ctx, h.db))
	missing, err := h.observer.MissingQueues(ctx)
	if err == nil && missing != nil {
		err = fmt.Errorf("%s is missing; composerp topology apply declares it", strings.Join(missing, ", "))
	}
	lines += line("topology", err)
	drains, err := scaling.Draining(ctx, h.db, h.node)
	if err == nil && drains {
		err = fmt.Errorf("it drains; composerp worker drain --undo %s ends that", h.node)
	}
	return lines + line("node", err)
}

func line(of string, err error) string {
	if err == nil {
		return ""
	}
	return of + ": " + wording.OneLine(err.Error()) + "\n"
}
