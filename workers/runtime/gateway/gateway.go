package gateway

import (
	"cmp"
	"context"
	_ "embed" // openapi.json
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/composerp/composerp/store"
)

// Connections is the size of the pool that a gateway wants.
const Connections = committers + readers + 1

// The bounds of what a request may be.
const (
	// MaxBody is the largest body of a request, as sent and unpacked, in bytes.
	MaxBody = 8 << 20
	// MaxEvents is the most events of a request.
	MaxEvents = 1000
)

const (
	readers       = 4                // questions that are asked at once
	bodiesAtOnce  = 64 << 20         // bytes of bodies in hand
	answerTimeout = 10 * time.Second // for the commit, or the rows
	stopTimeout   = 20 * time.Second
)

// Config is what a gateway needs. Only DB and Log are required.
type Config struct {
	DB       *store.DB // with Connections connections
	Log      *slog.Logger
	Registry prometheus.Registerer // nil: no metrics are served
	// Rate is the most events a second of each key, and Open the most of its requests at once; 0: 5000, and 64.
	Rate, Open int
	// HeaderTime is the time for a request's header to arrive, and RequestTime for all of it; 0: 5 s, and 15 s. So a
	// request of the largest size comes at 550 KB/s or more.
	HeaderTime, RequestTime time.Duration
}

// Gateway is an http.Handler. Run has it work.
type Gateway struct {
	cfg     Config
	keys    *keyring
	commits *committer
	bodies  *semaphore.Weighted
	asking  chan struct{}
	metrics *Metrics
	mux     *http.ServeMux
	stops   atomic.Bool
}

//go:embed openapi.json
var openAPI []byte

// New makes a gateway.
func New(cfg Config) *Gateway {
	cfg.Rate, cfg.Open = cmp.Or(cfg.Rate, 5000), cmp.Or(cfg.Open, 64)
	cfg.HeaderTime, cfg.RequestTime = cmp.Or(cfg.HeaderTime, 5*time.Second), cmp.Or(cfg.RequestTime, 15*time.Second)
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	m := NewMetrics(cfg.Registry)
	g := &Gateway{
		cfg: cfg, metrics: m, bodies: semaphore.NewWeighted(bodiesAtOnce), asking: make(chan struct{}, readers), mux: http.NewServeMux(),
		keys:    newKeyring(cfg),
		commits: newCommitter(cfg.DB, cfg.Log, m),
	}
	g.route("POST /v1/events", kindPublish, g.publish)
	g.route("GET /v1/events/{id}", kindEvent, g.question(g.event))
	g.route("GET /v1/stock", kindStock, g.question(g.stock))
	g.route("GET /v1/orders/{number}", kindOrder, g.question(g.order))
	g.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI)
	})
	g.mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	g.mux.HandleFunc("GET /readyz", g.readyz)
	return g
}

// readyz tells whether requests would be answered: the keys were read from the database a short time ago.
func (g *Gateway) readyz(w http.ResponseWriter, _ *http.Request) {
	if g.stops.Load() || !g.keys.fresh() {
		http.Error(w, "the gateway stops, or has not reached the database for some seconds: composerp doctor checks it", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// ServeHTTP answers a request; it answers what has no route by a problem, too.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if _, pattern := g.mux.Handler(r); pattern == "" {
		g.noRoute(w, r)
		return
	}
	g.mux.ServeHTTP(w, r)
}

// noRoute tells a wrong path from a wrong method.
func (g *Gateway) noRoute(w http.ResponseWriter, r *http.Request) {
	p := newProblem(http.StatusNotFound, "there is nothing at this path; GET /openapi.json says what there is")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		asked := r.Clone(r.Context())
		asked.Method = method
		if _, pattern := g.mux.Handler(asked); pattern != "" {
			w.Header().Set("Allow", method)
			p = newProblem(http.StatusMethodNotAllowed, "this path takes "+method)
		}
	}
	g.metrics.requests.WithLabelValues(kindOther, outcomeRefused).Inc()
	p.write(w)
}

// route serves a path to those who have a key that holds.
func (g *Gateway) route(pattern, kind string, serve func(w http.ResponseWriter, r *http.Request, k *holder) *problem) {
	g.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		p := g.guarded(w, r, serve)
		g.metrics.requests.WithLabelValues(kind, outcomeOf(p)).Inc()
		if p != nil {
			p.write(w)
		}
	})
}

// guarded serves a request within the bounds of its key. A panic is answered as what passes: 503.
func (g *Gateway) guarded(w http.ResponseWriter, r *http.Request, serve func(w http.ResponseWriter, r *http.Request, k *holder) *problem) (p *problem) {
	defer func() {
		if cause := recover(); cause != nil {
			g.cfg.Log.Error("the gateway's code is wrong: a request was not answered as it should be", "panic", cause)
			p = unavailable("this request cannot be answered; the log of the gateway says why")
		}
	}()
	k := g.keys.check(r.Header.Get("Authorization"))
	if k == nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="composerp"`)
		return newProblem(http.StatusUnauthorized, "want a key that holds: Authorization: Bearer composerp_...; `composerp keys create` makes one")
	}
	if k.open.Add(1) > int64(g.cfg.Open) {
		k.open.Add(-1)
		return limited(fmt.Sprintf("this key has %d requests open already; wait for their answers", g.cfg.Open))
	}
	defer k.open.Add(-1)
	return serve(w, r, k)
}

// Run serves on the listener until ctx is done, and then finishes what is in hand. It reads the keys before it listens
// to anyone.
func (g *Gateway) Run(ctx context.Context, listener net.Listener) error {
	if err := g.keys.read(ctx); err != nil {
		listener.Close()
		return err
	}
	server := &http.Server{
		Handler: g, ReadHeaderTimeout: g.cfg.HeaderTime, ReadTimeout: g.cfg.RequestTime, WriteTimeout: g.cfg.RequestTime + 2*answerTimeout,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(g.cfg.Log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	for range committers {
		group.Go(func() error { g.commits.run(stopped); return nil })
	}
	group.Go(func() error { g.keys.keep(ctx); return nil })
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving the gateway: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer close(stopped)
		<-ctx.Done()
		g.stops.Store(true)
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(ending) != nil {
			_ = server.Close()
		}
		return nil
	})
	return group.Wait()
}
