package doctor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/composerp/composerp/cli/fleet"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/parking"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/stream"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/runtime/observer"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

// doctorChecks are the doctor's names for the watchdog's kinds of problems, where they differ.
var doctorChecks = map[watchdog.Kind]string{
	watchdog.Mismatch: "topology", watchdog.Consumers: "queues", watchdog.Progress: "queues", watchdog.Growth: "alarm", watchdog.Ticker: "relay",
}

// Judged adds a problem that the watchdog has found.
func (x *Examination) Judged(p watchdog.Problem) {
	check := cmp.Or(doctorChecks[p.Kind], string(p.Kind))
	if p.Warning {
		x.warn(check, p.Do, "%s", p.What)
	} else {
		x.problem(check, p.Do, "%s", p.What)
	}
}

// betweenLooks is the time between two snapshots: longer than the broker's statistics may be old.
const betweenLooks = 6 * time.Second

// examineFleet runs the watchdog's checks, and reports whether an alarm blocks publishers.
func (x *Examination) examineFleet(ctx context.Context, broker rabbitmq.Config, management *management.Client) (alarmed bool) {
	plan := x.plan(ctx)
	o := &observer.Observer{DB: x.db, Broker: broker, Management: management, Topology: plan.Topology, Exact: x.limited == "" || management == nil}
	defer o.Close()
	now := o.Observe(ctx)
	if slices.ContainsFunc(now.Nodes, isUncounted) && clock.Sleep(ctx, betweenLooks) { // the broker has just started
		now = o.Observe(ctx)
	}
	if management != nil && now.Unseen != nil {
		if forbidden(now.Unseen) {
			x.unseen("alarms", "a user with the tag monitoring", asMonitoring)
		} else {
			x.unasked("management", now.Unseen)
		}
	}
	for _, p := range append(plan.Immediate(now), plan.Persistent(now, now)...) {
		if p.Kind == watchdog.Database || p.Kind == watchdog.Broker {
			continue // reported already
		}
		if p.Kind == watchdog.Access && x.limited != "" { // what it is for it may do: package roles says what that is
			x.unseen("access", "the role topology, and "+x.limited+" is another", fullDoctor)
			continue
		}
		if p.Kind == watchdog.Unrouted {
			x.examineUnrouted(ctx, broker, p)
			continue
		}
		alarmed = alarmed || p.Kind == watchdog.Alarm && !p.Warning
		x.Judged(p)
	}
	x.examineLanes(ctx)
	x.examineStream(ctx)
	x.examineVersions(ctx, broker, management)
	x.ExamineNodes(now.Nodes)
	x.observeAgain(ctx, o, plan, now)
	x.examineRest(ctx, broker, plan, now)
	return alarmed
}

// plan is the plan of the fleet, with the lanes that its queues have now, and the workers that are to run no slots.
func (x *Examination) plan(ctx context.Context) watchdog.Plan {
	plan := fleet.PlanOf()
	if x.db == nil {
		return plan
	}
	sets, err := lanes.Sets(ctx, x.db)
	if err != nil {
		return plan // the database's state is reported already
	}
	if x.resting, err = scaling.RestingPools(ctx, x.db); err != nil {
		x.unasked("queues", err)
	}
	if setting, err := stream.Read(ctx, x.db); err == nil {
		plan = plan.WithStream(setting)
	}
	if states, err := versions.Read(ctx, x.db); err == nil {
		plan = plan.WithVersions(states)
	}
	return plan.WithLanes(sets).WithResting(func(worker string) bool {
		return slices.ContainsFunc(x.resting, func(p scaling.Resting) bool { return p.Queue == worker })
	})
}

// examineLanes reports lanes without a node, and aggregates that wait for a dead letter.
func (x *Examination) examineLanes(ctx context.Context) {
	if x.db == nil {
		return
	}
	found, err := watchdog.LaneProblems(ctx, x.db)
	if err != nil {
		return // the database's state is reported already
	}
	for _, p := range found {
		x.Judged(p)
	}
	held, err := parking.List(ctx, x.db)
	if err != nil {
		return
	}
	waiting, parked := 0, int64(0)
	for _, h := range held {
		if h.Dead {
			waiting++
			parked += h.Parked
		}
	}
	if waiting > 0 {
		x.warn("lanes", "composerp lanes describe QUEUE names them; composerp dlq redrive lets them go on, in order", "%d aggregates wait for a dead letter, and %d events behind them", waiting, parked)
	}
}

// examineStream reports whether a stream that is on follows the log.
func (x *Examination) examineStream(ctx context.Context) {
	if x.db == nil {
		return
	}
	s, err := stream.ReadState(ctx, x.db)
	if err != nil || !s.On {
		return // the database's state is reported already
	}
	found := watchdog.StreamProblems(s)
	for _, p := range found {
		x.Judged(p)
	}
	if len(found) == 0 {
		x.ok("stream", "%s follows the log", topology.Stream)
	}
}

// observeAgain takes a second snapshot when progress is to be measured.
func (x *Examination) observeAgain(ctx context.Context, o *observer.Observer, plan watchdog.Plan, now observer.Snapshot) {
	if !plan.Busy(now) || !clock.Sleep(ctx, betweenLooks) {
		return
	}
	later := o.Observe(ctx)
	for _, p := range append(plan.Stalled(now, later), plan.Growing(now, later)...) {
		x.Judged(p)
	}
}

// examineRest reports what is well, and runs the checks that the watchdog lacks.
func (x *Examination) examineRest(ctx context.Context, broker rabbitmq.Config, plan watchdog.Plan, now observer.Snapshot) {
	if x.db != nil && now.Database != nil {
		x.failed("log", now.Database)
	}
	if now.Database == nil {
		x.examineGaps(ctx)
		x.examineLog(now.Log)
	}
	if now.Broker != nil {
		return
	}
	if vhost, err := broker.Vhost(); err == nil && now.Seen {
		x.examineExtras(plan.Topology, now.Have, vhost)
	}
	x.examineQueues(plan, now)
	x.examineDead(ctx, now)
	if now.Figures && len(now.Queues) > 0 && !x.has("stuck") {
		x.ok("stuck", "no message is unroutable")
	}
}

// examineGaps reports gaps that the watchdog has still to republish.
func (x *Examination) examineGaps(ctx context.Context) {
	gaps, err := eventlog.Gaps(ctx, x.db)
	if err != nil {
		x.unasked("pending", err)
	}
	for _, g := range gaps {
		x.Judged(watchdog.OpenGap(g))
	}
}
