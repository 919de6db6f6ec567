package doctor

import (
	"context"
	"strings"

	"github.com/composerp/composerp/cli/fleet"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// longQueue is a backlog that somebody should know of.
const longQueue = 50_000

// examineQueues says what the watchdog's judgements of the queues leave: who does not work at all, and who has much to do.
func (x *Examination) examineQueues(now observer.Snapshot) {
	var idle, names []string
	var retrying int64
	for _, w := range fleet.PlanOf().Workers {
		q, ok := now.Queues[w.Queue]
		if !ok {
			continue
		}
		names = append(names, w.Name)
		switch {
		case q.Consumers == 0 && q.Ready == 0:
			idle = append(idle, w.Name)
		case q.Consumers > 0 && q.Ready > longQueue:
			x.warn("queues", "more slots: composerp worker run "+w.Name+" --slots 2", "%s holds %d messages for %d slots", w.Queue, q.Ready, q.Consumers)
		}
		for _, rung := range w.RetryQueues {
			retrying += now.Queues[rung].Ready
		}
	}
	switch {
	case len(idle) > 0 && len(idle) == len(names):
		x.warn("queues", "composerp up, or composerp worker run", "no worker runs")
	case len(idle) > 0:
		x.warn("queues", "composerp worker run "+strings.Join(idle, " "), "nobody works as %s", strings.Join(idle, ", "))
	}
	if !x.has("queues") {
		x.ok("queues", "every worker's queue is taken from; %d messages wait to be tried again", retrying)
	}
}

func (x *Examination) examineDead(ctx context.Context, now observer.Snapshot) {
	x.examineJournal(ctx, now)
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Queue() != topology.QueueName(w.Name()) {
			continue // it drains a queue that has no dead letters
		}
		if n := now.Queues[topology.DeadQueueName(w.Name())].Ready; n > 0 {
			x.warn("dead", "composerp dlq list --queue "+w.Name()+" says why they died; when that is mended, composerp dlq redrive --queue "+w.Name()+" puts them back", "%s holds %d dead letters", topology.DeadQueueName(w.Name()), n)
		}
	}
	if !x.has("dead") && !x.has("unrouted") {
		x.ok("dead", "no dead letters, and no event went to nobody")
	}
}

// examineJournal holds the queues of dead letters against the journal. A letter that is gone without a word was moved by hand, or lost.
func (x *Examination) examineJournal(ctx context.Context, now observer.Snapshot) {
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
			x.warn("dead", "composerp audit goes through the queue and says what is lost; composerp republish brings back what is in the log",
				"%s holds %d dead letters, and the journal says that %d lie there", q.Name, q.Ready, l.Lying)
		}
	}
}
