package watchdog

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// monitor is what a watchdog knows while it leads.
type monitor struct {
	*Watchdog
	Plan         Plan // with the lanes that queues have now
	observer     observer.Observer
	snapshots    []observer.Snapshot // as far back as judgements need, the newest last
	current      map[identity]Problem
	history      *history
	countedAt    time.Time                 // when the queues were last counted exactly
	declareError string                    // why declaring failed the last time
	reported     bool                      // declareError is in the log
	undeclared   []topology.BindingSpec    // to be declared anew
	foreign      []topology.BindingSpec    // bindings of others, by the last snapshot that showed them
	gapReads     clock.Seldom              // failed ones, in the log
	lanes        map[string]topology.Lanes // of the plan, by worker
	laneProblems []Problem                 // by the last reading
	ofStream     []Problem                 // by the last reading
	rested       map[string]time.Time      // by worker, when it was last to run no slots
	policies     map[string]string         // by consumer, as they were noted last; nil before that
	policyNotes  clock.Seldom              // failed ones, in the log

	searchedAt  time.Time                    // when lost events were last searched
	searched    map[string]int64             // position of the log up to which that was done, by consumer
	emptyBefore map[string]eventlog.Position // history.empty as it was then

	repairs   map[string]*repair // by consumer
	repairing sync.WaitGroup     // one at a time
	outcome   chan repairOutcome // nil while nothing is republished
}

// observe takes one snapshot, reports the problems in it, and repairs what it can.
func (v *monitor) observe(ctx context.Context) {
	v.readLanes(ctx)
	v.readStream(ctx)
	v.readVersions(ctx)
	v.readResting(ctx)
	v.observer.Exact = time.Since(v.countedAt) >= v.Grace // seldom: it asks the broker for each queue
	now := v.observer.Observe(ctx)
	if ctx.Err() != nil {
		return
	}
	if now.Exact {
		v.countedAt = now.At
	}
	v.Metrics.snapshots.Inc()
	v.history.record(now)
	open := v.repair(ctx, now)
	v.report(append(v.problems(now), open...), now)
	v.searchLost(ctx, now)
	v.declare(ctx, now)
	v.notePolicies(ctx, now)
	if now.Seen {
		v.foreign = now.Have.Foreign
	}
	now.Have = topology.Topology{} // judgements of older snapshots do not need it
	v.snapshots = append(v.snapshots, now)
	for len(v.snapshots) > 1 && now.At.Sub(v.snapshots[1].At) >= max(v.Trend, v.Grace) {
		v.snapshots = v.snapshots[1:]
	}
}

func (v *monitor) problems(now observer.Snapshot) []Problem {
	plan := v.Plan.WithResting(v.rests)
	found := append(append(plan.Immediate(now), v.laneProblems...), v.ofStream...)
	if now.Unseen != nil {
		found = append(found, Problem{Kind: Unseen, Warning: true, What: unseenText(now.Unseen)})
	}
	if then, ok := v.snapshotBefore(now.At.Add(-v.Grace)); ok {
		found = append(found, plan.Persistent(then, now)...)
		found = with(found, plan.Stalled(then, now))
	}
	if then, ok := v.snapshotBefore(now.At.Add(-v.Trend)); ok {
		found = with(append(found, plan.Growing(then, now)...), plan.Unacknowledged(then, now))
	}
	return found
}

func unseenText(why error) string {
	text := wording.OneLine(why.Error())
	if errors.Is(why, observer.ErrNoManagement) {
		text += ": bindings, alarms and progress are not watched"
	}
	return text
}

// with adds the problems that are not found already.
func with(found, more []Problem) []Problem {
	for _, p := range more {
		if !slices.ContainsFunc(found, func(f Problem) bool { return f.identity() == p.identity() }) {
			found = append(found, p)
		}
	}
	return found
}

// snapshotBefore is the newest snapshot from before a time.
func (v *monitor) snapshotBefore(at time.Time) (observer.Snapshot, bool) {
	for _, l := range slices.Backward(v.snapshots) {
		if !l.At.After(at) {
			return l, true
		}
	}
	return observer.Snapshot{}, false
}

// report logs problems that begin and problems that end. A problem that this snapshot cannot show stays as it was.
func (v *monitor) report(found []Problem, now observer.Snapshot) {
	seen := map[identity]Problem{}
	for _, p := range found {
		seen[p.identity()] = p
	}
	for id, p := range v.current {
		if _, still := seen[id]; !still && unjudged(id.kind, now) {
			seen[id] = p
		}
	}
	for id, p := range seen {
		if _, known := v.current[id]; !known {
			level := slog.LevelError
			if p.Warning {
				level = slog.LevelWarn
			}
			v.Log.Log(context.Background(), level, "problem found", "kind", p.Kind, "subject", p.Subject, "what", p.What, "do", p.Do)
		}
	}
	for id, p := range v.current {
		if _, still := seen[id]; !still {
			v.Log.Warn("problem resolved", "kind", p.Kind, "subject", p.Subject, "what", p.What)
		}
	}
	v.current = maps.Clone(seen)
	v.Metrics.set(seen, func(kind Kind) bool { return unjudged(kind, now) })
}

// unjudged tells whether the snapshot cannot show if a problem of the kind persists.
func unjudged(kind Kind, now observer.Snapshot) bool {
	switch kind {
	case Ticker, Relay, Pending, Stream:
		return now.Database != nil
	case Topology:
		return now.Broker != nil && !now.Seen
	case Alarm:
		return now.Broker != nil && now.Nodes == nil
	case Node:
		return now.Nodes == nil
	case Mismatch:
		return !now.Seen
	case Consumers, Unrouted:
		return now.Broker != nil && !now.Figures
	case Progress, DeadLetterLog:
		return !now.Figures || !now.Exact
	case Stuck, Growth, Policy:
		return !now.Figures
	}
	return false
}
