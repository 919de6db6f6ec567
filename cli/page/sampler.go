package page

import (
	"context"
	"sync"
	"time"

	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/runtime/observer"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

const (
	// sampleAge is for how long a reading is shown again: many may look.
	sampleAge = 2 * time.Second
	// sampleTimeout is how long a request waits for a reading; a broker that hangs must not hide what the database knows.
	sampleTimeout = 4 * time.Second
	// askTimeout is how long the management API may take: less, so that it hides nothing either.
	askTimeout = 3 * time.Second
)

// sampler reads queues and nodes, once for all who ask at a time.
type sampler struct {
	reader *pools.Reader
	ask    func(context.Context) []watchdog.Problem

	mu   sync.Mutex
	last *reading
}

// reading is one that is under way until done is closed.
type reading struct {
	done   chan struct{}
	sample pools.Sample
	judged []watchdog.Problem // what the watchdog would say of the broker
	err    error
}

// stale reports whether the reading is over and old.
func (r *reading) stale() bool {
	select {
	case <-r.done:
		return time.Since(r.sample.At) > sampleAge
	default:
		return false
	}
}

// read returns a sample. Where a server takes too long, the sample has nothing but that as its problem.
func (s *sampler) read(ctx context.Context) (pools.Sample, []watchdog.Problem, error) {
	s.mu.Lock()
	if s.last == nil || s.last.stale() {
		s.last = s.begin(context.WithoutCancel(ctx))
	}
	r := s.last
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	select {
	case <-r.done:
		return r.sample, r.judged, r.err
	case <-ctx.Done():
		return pools.Sample{Problems: []string{"queues and slots are not counted: a server does not answer; composerp doctor checks them"}}, nil, nil
	}
}

// begin reads for all who wait, whether or not the one who asked first goes away.
func (s *sampler) begin(ctx context.Context) *reading {
	r := &reading{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		var judging sync.WaitGroup
		judging.Go(func() { r.judged = s.ask(ctx) })
		defer judging.Wait()
		if r.sample, r.err = s.reader.ReadAll(ctx); r.err == nil {
			r.err = r.sample.Database
		}
	}()
	return r
}

// problemsOf has the watchdog's plan look at what the management API tells of the broker: alarms, nodes, what is
// missing or differs, policies. It says nothing where the API is not known or does not answer.
func (p *Page) problemsOf(ctx context.Context) []watchdog.Problem {
	management, err := settings.ManagementClient(p.cfg.At)
	if err != nil || management == nil || len(p.cfg.Plan.Topology.Queues) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	plan := p.cfg.Plan
	if sets, err := lanes.Sets(ctx, p.cfg.DB); err == nil {
		plan = plan.WithLanes(sets)
	}
	if states, err := versions.Read(ctx, p.cfg.DB); err == nil {
		plan = plan.WithVersions(states)
	}
	o := observer.Observer{Broker: p.cfg.Broker, Management: management, Topology: plan.Topology}
	now := o.ObserveManagement(ctx)
	if !now.Seen {
		return nil
	}
	return plan.Immediate(now)
}
