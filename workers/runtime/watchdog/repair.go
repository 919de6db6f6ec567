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
)

// mend is a noted gap on its way to be made good.
type repair struct {
	gap    eventlog.Gap
	worker Worker
	// there says that a look has seen what was missing. The tick is of the look after that one: whatever the relay may
	// have published before, it had read up to that tick.
	restored bool
	tick     int64
	since    time.Time // when the tick was seen
	// looked: its debts have been published, of the log as it was then up to the point rest. What came straight over AMQP
	// may have been logged since.
	republished   bool
	externalAfter eventlog.Position
	notBefore     time.Time // not before
	err           error     // of the last time
}

const (
	// intakePatience is how long intake may take to log what had come when the queue was there again; under constant load
	// its queue is never seen empty.
	intakeTimeout = time.Minute
	repairBackoff = 10 * time.Second // after an error
	repairTimeout = 10 * time.Minute
)

// makeGood publishes again what may be lost, once that can be known, and gives what is not made good yet.
func (v *monitor) repair(ctx context.Context, now observer.Snapshot) []Problem {
	v.collect(ctx)
	if now.Database != nil {
		return nil
	}
	if err := v.readGaps(ctx); err != nil {
		v.Log.Warn("what may be lost is not known for now", "error", err)
		return nil
	}
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
			if !m.republished { // what is logged while it is published is for the second time
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

// Open is the problem that a gap is until it is closed.
func OpenGap(g eventlog.Gap) Problem {
	return Problem{Kind: Pending, Subject: g.Consumer, Do: "composerp republish --consumer " + g.Consumer + ", if the watchdog does not do it soon",
		What: fmt.Sprintf("events for %s may have gone to nobody; they are published again as soon as the relay has passed them", g.Consumer)}
}

func (m *repair) problem() Problem {
	p := OpenGap(m.gap)
	if m.err != nil {
		p.What = fmt.Sprintf("events for %s may have gone to nobody, and can not be published again: %s", m.gap.Consumer, wording.OneLine(m.err.Error()))
	}
	return p
}

// readGaps follows the table: others note gaps too, and make them good.
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

// logged tells whether intake has logged what came straight over AMQP before the consumer's queue was there again. Where
// there is no intake, nothing of that is ever logged. While nobody works as intake, what has come waits in its queue.
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

// mendOutcome is what became of one time of publishing again.
type repairOutcome struct {
	repairs  []repair
	reports  []republish.Report
	rerouted int64
	failed   error
}

// begin publishes in the background: the log may be long, and the watchdog goes on looking.
func (v *monitor) start(ctx context.Context, due []repair) {
	v.outcome = make(chan repairOutcome, 1)
	v.repairing.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, repairTimeout)
		defer cancel()
		v.outcome <- v.publish(ctx, due)
	})
}

// publish publishes what the consumers owe, for those together that have lost since the same point, and brings what lies
// in composerp.unrouted to where it belongs.
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
		report, err := republish.Run(ctx, republish.Config{DB: v.DB, Broker: v.Broker, Queues: queues, After: r.after, Outside: r.outside})
		done.reports = append(done.reports, report)
		if err != nil {
			done.failed = err
			return done
		}
	}
	return done
}

// republishing is what consumers have in common whose debts are published together.
type republishing struct {
	after   eventlog.Position
	outside bool
}

func (v *monitor) reroute(ctx context.Context) (int64, error) {
	session, err := rabbitmq.Open(ctx, v.Broker)
	if err != nil {
		return 0, err
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()
	return republish.Reroute(ctx, session, "watchdog."+v.Holder, v.Plan.bound)
}

// collect takes the outcome, when there is one.
func (v *monitor) collect(ctx context.Context) {
	var done repairOutcome
	select {
	case done = <-v.outcome:
		v.outcome = nil
	default:
		return
	}
	if done.rerouted > 0 {
		v.Log.Warn("events that no queue was bound for are published once more", "events", done.rerouted)
	}
	for _, r := range done.reports {
		for _, t := range r.Consumers {
			v.Metrics.republished.Add(float64(t.Published))
			if t.Published > 0 {
				v.Log.Warn("what may have been lost is published again", "consumer", t.Consumer, "events", t.Published)
			}
		}
	}
	for _, m := range done.repairs {
		v.settle(ctx, m, done.failed)
	}
}

// settle closes a gap that is made good.
func (v *monitor) settle(ctx context.Context, was repair, err error) {
	v.history.refill(was.worker.Name, time.Now())
	m := v.repairs[was.worker.Name]
	if m == nil || !m.gap.NotedAt.Equal(was.gap.NotedAt) {
		return // it was noted anew
	}
	if m.err = err; err != nil {
		m.notBefore = time.Now().Add(repairBackoff)
		v.Log.Error("what may have been lost can not be published again", "consumer", was.worker.Name, "error", err)
		return
	}
	if !was.republished {
		m.republished = true
		return
	}
	if err := eventlog.CloseGap(ctx, v.DB, m.gap); err != nil {
		v.Log.Warn("a gap that was made good stays noted for now", "error", err)
		return
	}
	delete(v.repairs, was.worker.Name)
}
