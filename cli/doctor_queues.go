package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/workers"
)

// longQueue is a backlog that somebody should know of.
const longQueue = 50_000

// examineQueues asks the broker itself how its queues stand. What is missing, the topology's examination has said.
func (x *examination) examineQueues(session *exchange.Session) {
	depth := func(queue string) (ready, consumers int, ok bool) {
		ready, consumers, err := session.Depth(queue)
		if err != nil && !errors.Is(err, exchange.ErrMissing) {
			x.unasked("queues", err)
		}
		return ready, consumers, err == nil
	}
	var idle, names []string
	before, retrying := len(x.findings), 0
	for _, w := range workers.Fleet(workers.Config{}) {
		ready, consumers, ok := depth(w.Queue())
		if !ok {
			continue
		}
		names = append(names, w.Name())
		switch {
		case consumers == 0 && ready > 0:
			x.problem("queues", "composerp up, or composerp worker run "+w.Name(), "%s holds %d messages, and nobody takes them", w.Queue(), ready)
		case consumers == 0:
			idle = append(idle, w.Name())
		case ready > longQueue:
			x.warn("queues", "more slots: composerp worker run "+w.Name()+" --slots 2", "%s holds %d messages for %d slots", w.Queue(), ready, consumers)
		}
		for _, rung := range w.Subscription().Ladder {
			if n, _, ok := depth(exchange.RungName(w.Name(), rung)); ok && w.Queue() == exchange.QueueName(w.Name()) {
				retrying += n
			}
		}
	}
	switch {
	case len(idle) > 0 && len(idle) == len(names):
		x.warn("queues", "composerp up, or composerp worker run", "no worker runs")
	case len(idle) > 0:
		x.warn("queues", "composerp worker run "+strings.Join(idle, " "), "nobody works as %s", strings.Join(idle, ", "))
	}
	if len(x.findings) == before {
		x.ok("queues", "every worker's queue is taken from; %d messages wait to be tried again", retrying)
	}
	x.examineDead(depth)
}

func (x *examination) examineDead(depth func(string) (int, int, bool)) {
	before := len(x.findings)
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Queue() != exchange.QueueName(w.Name()) {
			continue // it drains a queue that has no dead letters
		}
		if n, _, ok := depth(exchange.DeadName(w.Name())); ok && n > 0 {
			x.warn("dead", "composerp dlq list --queue "+w.Name()+" says why they died; when that is mended, composerp dlq redrive --queue "+w.Name()+" puts them back", "%s holds %d dead letters", exchange.DeadName(w.Name()), n)
		}
	}
	if n, _, ok := depth(exchange.Unrouted); ok && n > 0 {
		x.problem("unrouted", "composerp topology apply binds what is missing; then move them to the queues they belong to in the management UI", "%s holds %d events that no queue was bound for", exchange.Unrouted, n)
	}
	if len(x.findings) == before {
		x.ok("dead", "no dead letters, and no event went to nobody")
	}
}

// examineStuck looks for messages that left a queue and have no place to go, which no depth shows.
func (x *examination) examineStuck(ctx context.Context, management *exchange.Management, vhost string) {
	states, err := management.Queues(ctx, vhost)
	if err != nil {
		x.unasked("stuck", err)
		return
	}
	before := len(x.findings)
	for _, q := range states {
		if q.MessagesDLX > 0 {
			x.problem("stuck", "composerp topology apply makes the queue they shall go to", "%d messages of %s have expired and have no place to go (messages_dlx)", q.MessagesDLX, q.Name)
		}
	}
	if len(x.findings) == before {
		x.ok("stuck", "no message is without a place to go")
	}
}
