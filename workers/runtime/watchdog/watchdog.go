package watchdog

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// LeaseName is the lease watchdogs compete for.
const LeaseName = "watchdog"

// Watchdog watches a fleet while it leads. DB, Broker and Plan are needed.
type Watchdog struct {
	DB     *store.DB       // at least three connections
	Broker rabbitmq.Config // asked, and declared at
	// Republishing is the broker for what it publishes again; without URLs: Broker.
	Republishing rabbitmq.Config
	Management   *management.Client // nil: fewer problems are seen
	Plan         Plan
	// Holder names this process in the lease.
	Holder  string
	Log     *slog.Logger
	Metrics *Metrics

	Interval time.Duration // between two snapshots; 2 s
	Grace    time.Duration // how long a condition lasts before it is a problem; 10 s, longer than figures may be old
	Trend    time.Duration // over how long growth is measured; 1 min
	// FiguresAge is how old the management API's figures of a queue may be: a quorum queue reports them every 5 s,
	// and they are collected every 5 s; 12 s.
	FiguresAge time.Duration

	leading atomic.Bool
}

// Run watches whenever this process holds the lease, until ctx is done.
func (w *Watchdog) Run(ctx context.Context) error {
	w.defaults()
	var standing sync.WaitGroup
	standing.Go(func() { w.standBy(ctx) })
	defer standing.Wait()
	store.Lead(ctx, w.DB, LeaseName, w.Holder, w.lead, func(err error) { w.Log.Error("watchdog does not lead for now", "error", err) })
	return nil
}

func (w *Watchdog) defaults() {
	set := func(d *time.Duration, standard time.Duration) {
		if *d <= 0 {
			*d = standard
		}
	}
	set(&w.Interval, 2*time.Second)
	set(&w.Grace, 10*time.Second)
	set(&w.Trend, time.Minute)
	set(&w.FiguresAge, 12*time.Second)
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	if w.Metrics == nil {
		w.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	w.Broker.Name, w.Broker.Log = LeaseName, slog.New(slog.DiscardHandler) // the end of a session is among the problems
	if len(w.Republishing.URLs) == 0 {
		w.Republishing = w.Broker
	}
	w.Republishing.Name, w.Republishing.Log = w.Broker.Name, w.Broker.Log
}

// lead observes until the lease is lost.
func (w *Watchdog) lead(ctx context.Context, _ store.Lease) error {
	w.Log.Info("watchdog leads")
	w.leading.Store(true)
	w.Metrics.leading.Set(1)
	v := &monitor{Watchdog: w, Plan: w.Plan, current: map[identity]Problem{}, history: newHistory(w.Plan, w.FiguresAge), repairs: map[string]*repair{}, searched: map[string]int64{}, lanes: map[string]topology.Lanes{}, rested: map[string]time.Time{},
		observer: observer.Observer{DB: w.DB, Broker: w.Broker, Management: w.Management, Topology: w.Plan.Topology}}
	defer func() {
		v.observer.Close()
		v.repairing.Wait()
		w.Metrics.leading.Set(0)
		w.leading.Store(false) // standBy clears the rest
	}()
	ticker := time.NewTicker(w.Interval)
	defer ticker.Stop()
	for {
		v.observe(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
