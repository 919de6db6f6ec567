package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/composerp/composerp/cli/deadletters"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/observer"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

// longQueue is the backlog from which on the doctor warns.
const longQueue = 50_000

// examineQueues reports workers without a consumer and long queues; the watchdog's checks report the rest.
func (x *Examination) examineQueues(plan watchdog.Plan, now observer.Snapshot) {
	var idle, names []string
	var retrying int64
	all := plan.Workers
	for _, w := range all {
		q, ok := now.Queues[w.Queue]
		if !ok {
			continue
		}
		names = append(names, w.Name)
		switch {
		case w.Waits, w.Rests:
		case q.Consumers == 0 && q.Ready == 0:
			idle = append(idle, w.Name)
		case q.Consumers > 0 && q.Ready > longQueue:
			x.warn("queues", "more slots: composerp worker run "+w.Name+" --slots 2", "%s holds %s for %s", w.Queue, wording.Count(q.Ready, "message"), wording.Count(int64(q.Consumers), "slot"))
		}
		for _, delay := range w.RetryQueues {
			retrying += now.Queues[delay].Ready
		}
	}
	switch {
	case len(idle) > 0 && len(idle) == len(names):
		x.warn("queues", "composerp up, or composerp worker run", "no worker runs")
	case len(idle) > 0:
		x.warn("queues", "composerp worker run "+strings.Join(idle, " "), "no consumer for %s", strings.Join(idle, ", "))
	}
	x.examineResting(now)
	if !x.has("queues") && len(names) == len(all) {
		x.ok("queues", "every worker's queue has a consumer; %s to be retried", wording.Count(retrying, "message"))
	}
}

// examineResting reports messages that wait for a worker which is to run no slots. The autoscaler wakes those it put to
// sleep.
func (x *Examination) examineResting(now observer.Snapshot) {
	for _, p := range x.resting {
		what, do := "scaled to 0", "composerp scale "+p.Queue+"=1"
		if p.Paused {
			what, do = "paused", "composerp worker resume "+p.Queue
		}
		if p.By != "" {
			what += " by " + p.By
		}
		if p.Reason != "" {
			what += " (" + p.Reason + ")"
		}
		if waiting := now.Queues[topology.QueueName(p.Queue)].Ready; waiting > 0 && (p.Paused || !p.Auto) {
			x.warn("queues", do, "%s is %s, and its queue holds %s", p.Queue, what, wording.Count(waiting, "message"))
		}
	}
}

// mostKeys is how many keys of unrouted events are reported one by one.
const mostKeys = 5

// examineUnrouted reports of each key why its events have no queue. Where the queue cannot be read, the problem stands
// as the watchdog found it.
func (x *Examination) examineUnrouted(ctx context.Context, broker rabbitmq.Config, p watchdog.Problem) {
	found, err := deadletters.UnroutedFindings(ctx, x.Endpoints, broker)
	if err != nil || len(found) == 0 {
		x.Judged(p)
		return
	}
	for _, f := range found[:min(len(found), mostKeys)] {
		x.problem("unrouted", f.Do, "%s holds %s", topology.Unrouted, f.What)
	}
	if more := len(found) - mostKeys; more > 0 {
		x.problem("unrouted", p.Do, "%s holds events of %d more keys", topology.Unrouted, more)
	}
}

func (x *Examination) examineDead(ctx context.Context, now observer.Snapshot) {
	x.examineLetters(ctx, now)
	for _, name := range deadletters.DeadNames() {
		if n := now.Queues[topology.DeadQueueName(name)].Ready; n > 0 {
			x.warn("dead", "composerp dlq list --queue "+name+" shows the errors; once the cause is fixed, composerp dlq redrive --queue "+name+" returns them", "%s holds %s", topology.DeadQueueName(name), wording.Count(n, "dead letter"))
		}
	}
	missing := slices.DeleteFunc(append(deadQueues(), topology.Unrouted), func(name string) bool { _, there := now.Queues[name]; return there })
	if !x.has("dead") && !x.has("unrouted") && len(missing) == 0 {
		x.ok("dead", "no dead letters and no unrouted events")
	}
}

func deadQueues() (names []string) {
	for _, name := range deadletters.DeadNames() {
		names = append(names, topology.DeadQueueName(name))
	}
	return names
}

// examineLetters reconciles the dead-letter queues with the dead-letter log. A letter
// that is pending in the log and not in its queue was moved by hand, or lost.
func (x *Examination) examineLetters(ctx context.Context, now observer.Snapshot) {
	if x.db == nil || !now.Exact {
		return
	}
	known, err := failures.LettersByConsumer(ctx, x.db, failures.LetterFilter{})
	if err != nil {
		x.failed("dead", err)
	}
	for _, l := range known {
		q, there := now.Queues[topology.DeadQueueName(l.Consumer)]
		if there && q.Consumers == 0 && q.Ready+q.Unacked < int64(l.Lying) {
			x.warn("dead", "composerp audit reads the queue and reports what is lost; composerp republish restores what is in the log",
				"%s holds %s, and the dead-letter log has %d pending", q.Name, wording.Count(q.Ready, "dead letter"), l.Lying)
		}
	}
}
