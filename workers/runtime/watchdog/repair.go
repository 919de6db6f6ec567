package watchdog

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/observer"
	"github.com/composerp/composerp/workers/runtime/republish"
	"github.com/composerp/composerp/workers/runtime/unrouted"
)

// repair is a recorded gap until what may be lost in it is republished.
type repair struct {
	gap    eventlog.Gap
	worker Worker
	// restored says that a snapshot has shown what was missing. tick is of the snapshot after that one: the relay had
	// read up to that tick everything that it published while something was missing.
	restored bool
	tick     int64
	since    time.Time // when the tick was seen
	// republished says that the pending deliveries of the log as it was then, up to externalAfter, are republished.
	// Events that came straight over AMQP may have been logged since.
	republished   bool
	externalAfter eventlog.Position
	notBefore     time.Time // of the next attempt at the earliest
	err           error     // of the last attempt
}

const (
	// intakeTimeout is how long intake may take to log what had arrived when the queue was restored: under constant
	// load its queue is never seen empty.
	intakeTimeout = time.Minute
	repairBackoff = 10 * time.Second // after an error
	repairTimeout = 10 * time.Minute
)

// repair republishes what may be lost once that can be known, and returns the gaps that are still open as problems.
func (v *monitor) repair(ctx context.Context, now observer.Snapshot) []Problem {
	v.collect(ctx)
	if now.Database != nil {
		return nil
	}
	if err := v.readGaps(ctx); err != nil {
		if v.gapReads.Due() {
			v.Log.Warn("gaps cannot be read for now", "error", err)
		}
		return nil
	}
	v.gapReads.Reset()
	var due []repair
	var open []Problem
	lacking := v.Plan.Affected(v.Plan.Topology.Missing(now.Have))
	for name, m := range v.repairs {
		_, lacks := lacking[name]
		switch {
		case m.restored && m.tick == 0:
			m.tick, m.since = now.Log.Tick, now.At
		case !m.restored && (now.Seen || now.Broker == nil):
			m.restored = !lacks
		}
		if v.outcome == nil && m.tick > 0 && now.Log.Passed >= m.tick && now.At.After(m.notBefore) && (!m.republished || v.intakeDone(now, m)) {
			if !m.republished { // what is logged meanwhile is for the second time
				m.externalAfter = now.Log.Confirmed
			}
			due = append(due, *m)
		}
		open = append(open, m.problem())
	}
	if len(due) > 0 {
		v.start(ctx, due)
	}
	return open
}

// OpenGap is the problem that a gap is until it is closed.
func OpenGap(g eventlog.Gap) Problem {
	return Problem{Kind: Pending, Subject: g.Consumer, Do: "composerp republish --consumer " + g.Consumer + ", if the watchdog does not do it soon",
		What: fmt.Sprintf("events for %s may be undelivered; they are republished as soon as the relay has passed them", g.Consumer)}
}

func (m *repair) problem() Problem {
	p := OpenGap(m.gap)
	if m.err != nil {
		p.What = fmt.Sprintf("events for %s may be undelivered and cannot be republished: %s", m.gap.Consumer, wording.OneLine(m.err.Error()))
	}
	return p
}

// readGaps follows the table: other processes record and close gaps too.
func (v *monitor) readGaps(ctx context.Context) error {
	gaps, err := eventlog.Gaps(ctx, v.DB)
	if err != nil {
		return err
	}
	noted := map[string]*repair{}
	for _, l := range gaps {
		for _, w := range v.Plan.Workers {
			if w.Name != l.Consumer {
				continue
			}
			if m := v.repairs[w.Name]; m != nil && m.gap.NotedAt.Equal(l.NotedAt) {
				noted[w.Name] = m
			} else {
				noted[w.Name] = &repair{gap: l, worker: w}
			}
		}
	}
	v.repairs = noted
	return nil
}

// intakeDone tells whether intake has logged what came straight over AMQP before the consumer's queue was restored.
// Without an intake nothing of that is ever logged. While intake does not run, what has arrived waits in its queue.
func (v *monitor) intakeDone(now observer.Snapshot, m *repair) bool {
	for _, w := range v.Plan.Workers {
		switch {
		case !w.Intake:
		case now.Queues[w.Queue].Consumers == 0 && !isEmpty(now, w):
			m.since = now.At
			return false
		case now.At.Sub(m.since) < intakeTimeout:
			return now.Figures && now.At.Sub(m.since) >= v.FiguresAge && isEmpty(now, w)
		}
	}
	return true
}

// repairOutcome is what came of republishing once.
type repairOutcome struct {
	repairs  []repair
	reports  []republish.Report
	rerouted int64
	failed   error
}

// start republishes in the background: the log may be long, and the watchdog goes on observing.
func (v *monitor) start(ctx context.Context, due []repair) {
	v.outcome = make(chan repairOutcome, 1)
	v.repairing.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, repairTimeout)
		defer cancel()
		v.outcome <- v.publish(ctx, due)
	})
}

// publish reroutes what is in composerp.unrouted and republishes the consumers' pending deliveries, for those
// together that have lost since the same position.
func (v *monitor) publish(ctx context.Context, due []repair) repairOutcome {
	done := repairOutcome{repairs: due}
	if done.rerouted, done.failed = v.reroute(ctx); done.failed != nil {
		return done
	}
	together := map[republishing]map[string]string{}
	for _, m := range due {
		r := republishing{after: m.gap.After}
		if m.republished {
			r = republishing{after: m.externalAfter, outside: true}
		}
		if together[r] == nil {
			together[r] = map[string]string{}
		}
		together[r][m.worker.Name] = m.worker.Queue
	}
	for r, queues := range together {
		report, err := republish.Run(ctx, republish.Config{DB: v.DB, Broker: v.Republishing, Queues: queues, After: r.after, Outside: r.outside})
		done.reports = append(done.reports, report)
		if err != nil {
			done.failed = err
			return done
		}
	}
	return done
}

// republishing is what consumers have in common whose pending deliveries are republished together.
type republishing struct {
	after   eventlog.Position
	outside bool
}

func (v *monitor) reroute(ctx context.Context) (int64, error) {
	session, err := rabbitmq.Open(ctx, v.Republishing)
	if err != nil {
		return 0, err
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()
	return unrouted.Rerouting{Routes: unrouted.RoutesOf(v.Plan.Topology, nil)}.Run(ctx, session, "watchdog."+v.Holder)
}

// collect takes the outcome of republishing when there is one.
func (v *monitor) collect(ctx context.Context) {
	var done repairOutcome
	select {
	case done = <-v.outcome:
		v.outcome = nil
	default:
		return
	}
	if done.rerouted > 0 {
		v.Log.Warn("unrouted events rerouted", "events", done.rerouted)
	}
	for _, r := range done.reports {
		for _, t := range r.Consumers {
			v.Metrics.republished.Add(float64(t.Published))
			if t.Published > 0 {
				v.Log.Warn("events republished", "consumer", t.Consumer, "events", t.Published)
			}
		}
	}
	for _, m := range done.repairs {
		v.settle(ctx, m, done.failed)
	}
}

// settle closes a gap once everything that may be lost in it is republished.
func (v *monitor) settle(ctx context.Context, was repair, err error) {
	v.history.refill(was.worker.Name, time.Now())
	m := v.repairs[was.worker.Name]
	if m == nil || !m.gap.NotedAt.Equal(was.gap.NotedAt) {
		return // it was recorded again
	}
	if m.err = err; err != nil {
		m.notBefore = time.Now().Add(repairBackoff)
		v.Log.Error("republishing failed", "consumer", was.worker.Name, "error", err)
		return
	}
	if !was.republished {
		m.republished = true
		return
	}
	if err := eventlog.CloseGap(ctx, v.DB, m.gap); err != nil {
		v.Log.Warn("repaired gap cannot be closed for now", "error", err)
		return
	}
	delete(v.repairs, was.worker.Name)
}
