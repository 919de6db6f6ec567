package watchdog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// Immediate judges what one snapshot shows at once.
func (p Plan) Immediate(now observer.Snapshot) []Problem {
	var found []Problem
	if now.Database != nil {
		found = append(found, Problem{Kind: Database, What: wording.OneLine(now.Database.Error())})
	}
	switch {
	case errors.Is(now.Broker, rabbitmq.ErrAccessRefused):
		found = append(found, Problem{Kind: Access, What: wording.OneLine(now.Broker.Error())})
	case now.Broker != nil:
		found = append(found, Problem{Kind: Broker, What: wording.OneLine(now.Broker.Error())})
	}
	if now.Access != nil {
		found = append(found, Problem{Kind: Access, What: wording.OneLine(now.Access.Error())})
	}
	found = append(found, Nodes(now.Nodes)...)
	if now.Blocked != "" && !isAlarmed(now.Nodes) {
		found = append(found, Problem{Kind: Alarm, Subject: "broker", What: "the broker takes no messages: " + now.Blocked,
			Do: "make room on its disk, or drain its queues; it resumes by itself then"})
	}
	return append(append(found, p.topologyProblems(now)...), p.policyProblems(now)...)
}

// policyProblems judges what policies do to the fleet's queues.
func (p Plan) policyProblems(now observer.Snapshot) []Problem {
	var found []Problem
	for _, e := range p.Topology.PolicyEffects(now.Queues) {
		found = append(found, Problem{Kind: Policy, Subject: e.Policy + " " + e.Setting + " " + e.Queues[0], Warning: !e.Loses, What: e.String(),
			Do: "change the policy's pattern so that it leaves out " + topology.Prefix + "*, or clear it: rabbitmqctl clear_policy, clear_operator_policy"})
	}
	return found
}

// Nodes judges the broker's nodes.
func Nodes(nodes []management.NodeState) []Problem {
	var found []Problem
	for _, n := range nodes {
		switch {
		case !n.Running:
			found = append(found, Problem{Kind: Node, Subject: n.Name, What: n.Name + " is down", Do: "start it, or take it out of the cluster"})
			continue
		case n.DiskAlarm:
			found = append(found, Problem{Kind: Alarm, Subject: n.Name + " disk", Do: "make room on its disk; it resumes by itself then",
				What: wording.Sprintf("%s takes no messages: %d MB of disk are free, its limit is %d MB", n.Name, n.DiskFree>>20, n.DiskFreeLimit>>20)})
		case n.Counted() && n.DiskFree < 2*n.DiskFreeLimit:
			found = append(found, Problem{Kind: Alarm, Subject: n.Name + " disk", Warning: true, Do: "make room on its disk before the broker stops taking messages",
				What: wording.Sprintf("%s has %d MB of disk free, and its limit is %d MB", n.Name, n.DiskFree>>20, n.DiskFreeLimit>>20)})
		}
		if n.MemoryAlarm {
			found = append(found, Problem{Kind: Alarm, Subject: n.Name + " memory", Do: "drain its queues, or raise vm_memory_high_watermark",
				What: wording.Sprintf("%s takes no messages: it uses %d MB of memory, its limit is %d MB", n.Name, n.MemoryUsed>>20, n.MemoryLimit>>20)})
		}
	}
	return found
}

func isAlarmed(nodes []management.NodeState) bool {
	return slices.ContainsFunc(nodes, func(n management.NodeState) bool { return n.DiskAlarm || n.MemoryAlarm })
}

// topologyProblems judges what the broker holds of the topology. What it holds beyond that does no harm.
func (p Plan) topologyProblems(now observer.Snapshot) []Problem {
	if now.Broker != nil && !now.Seen {
		return nil // unknown
	}
	var found []Problem
	if causes, bindings := p.Topology.Causes(now.Have); len(causes) > 0 {
		found = append(found, Problem{Kind: Topology, Do: "composerp topology apply", What: missingText(causes, bindings)})
	}
	differs, first := 0, ""
	for _, d := range p.Topology.Diff(now.Have) {
		if d.State != topology.Mismatch {
			continue
		}
		if differs++; differs == 1 {
			first = strings.TrimSpace(d.Kind + " " + d.Name + " " + d.String())
		}
	}
	if differs > 0 {
		found = append(found, Problem{Kind: Mismatch, Do: "empty and delete it, then composerp topology apply; composerp topology diff shows them all",
			What: wording.Sprintf("%d properties differ, the first of %s", differs, first)})
	}
	return found
}

// missingText names what is missing by itself, and counts the bindings that went with it.
func missingText(causes []string, bindings int) string {
	text := causes[0] + " is missing"
	if n := len(causes); n > 1 {
		text = wording.Sprintf("%d exchanges, queues or bindings are missing, the first is %s", n, causes[0])
	}
	if bindings > 0 {
		text += wording.Sprintf(", and %s with it", wording.Count(int64(bindings), "binding"))
	}
	return text
}

// What helps with the commonest problems, as far as it is the same for each.
const (
	relayWaits  = "look at the broker (does it answer, has it an alarm, does a policy make a queue refuse?), then at the log of the relay"
	startWorker = "composerp up, or composerp worker run "
	orItsLog    = "; where it runs, its log says why it does not consume"
)

// behindLimit is how far the relay may be behind before that is a problem.
const behindLimit = 10 * time.Second

// Persistent judges what is a problem when both snapshots show it. Given the same snapshot twice, it judges that one.
func (p Plan) Persistent(then, now observer.Snapshot) []Problem {
	found := leaders(then, now)
	for _, w := range p.Workers {
		a, b := then.Queues[w.Queue], now.Queues[w.Queue]
		if a.Consumers > 0 || b.Consumers > 0 || !a.Counted || !b.Counted {
			continue
		}
		switch {
		case w.Waits, w.Rests:
		case b.Ready > 0:
			found = append(found, Problem{Kind: Consumers, Subject: w.Queue, Do: startWorker + w.Name + orItsLog,
				What: wording.Sprintf("%s holds %s and has no consumer", w.Queue, wording.Count(b.Ready, "message"))})
		case w.Local:
			found = append(found, Problem{Kind: Consumers, Subject: w.Queue, Do: "look at the worker's log",
				What: wording.Sprintf("%s has no consumer, although %s runs", w.Queue, w.Name)})
		}
	}
	for _, q := range p.Topology.Queues {
		if a, b := then.Queues[q.Name].MessagesDLX, now.Queues[q.Name].MessagesDLX; a > 0 && b >= a {
			found = append(found, Problem{Kind: Stuck, Subject: q.Name, Do: "composerp topology apply declares the queue they go to",
				What: wording.Sprintf("%s of %s expired and cannot be delivered (messages_dlx)", wording.Count(b, "message"), q.Name)})
		}
	}
	if a, b := then.Queues[topology.Unrouted].Ready, now.Queues[topology.Unrouted].Ready; a > 0 && b > 0 {
		found = append(found, Problem{Kind: Unrouted, Subject: topology.Unrouted,
			Do:   "composerp dlq list --queue unrouted says of each key why, and what to do",
			What: wording.Sprintf("%s holds %s that no queue was bound for", topology.Unrouted, wording.Count(b, "event"))})
	}
	return found
}

// leaders judges whether relay and ticker lead.
func leaders(then, now observer.Snapshot) []Problem {
	if then.Database != nil || now.Database != nil {
		return nil
	}
	const start = "composerp up, or composerp relay"
	a, b := then.Log, now.Log
	noRelay, noTicker := a.RelayHolder == "" && b.RelayHolder == "", a.TickerHolder == "" && b.TickerHolder == ""
	switch {
	case noRelay && a.Unpublished > 0 && b.Unpublished > 0:
		return []Problem{{Kind: Relay, Do: start, What: wording.Sprintf("no relay runs, with %s to publish", wording.Count(b.Unpublished, "event"))}}
	case noRelay:
		return []Problem{{Kind: Relay, Do: start, Warning: true, What: "no relay runs: new events stay in the log"}}
	case noTicker && a.End > a.Covered && b.End > b.Covered:
		return []Problem{{Kind: Ticker, Do: start, What: "no ticker leads, and there are new events: the relay does not learn of them"}}
	case noTicker:
		return []Problem{{Kind: Ticker, Do: start, Warning: true, What: "no ticker leads: new events stay in the log"}}
	}
	return nil
}

// Stalled judges what should have moved between two snapshots and has not.
func (p Plan) Stalled(then, now observer.Snapshot) []Problem {
	var found []Problem
	over := now.At.Sub(then.At).Round(time.Second)
	if then.Database == nil && now.Database == nil {
		a, b := then.Log, now.Log
		if a.End > a.Covered && b.End > b.Covered && a.Tick == b.Tick && b.TickerHolder != "" {
			found = append(found, Problem{Kind: Ticker, Do: "look at the log of " + b.TickerHolder,
				What: wording.Sprintf("the ticker of %s has not ticked for %s, although there are new events", b.TickerHolder, over)})
		}
		if a.Passed < a.Tick && b.Passed < b.Tick && a.Place == b.Place && a.Unpublished > 0 && b.Unpublished > 0 && b.RelayHolder != "" {
			found = append(found, Problem{Kind: Relay, Do: relayWaits,
				What: wording.Sprintf("the relay of %s has not moved for %s, with %s to publish", b.RelayHolder, over, wording.Count(b.Unpublished, "event"))})
		}
		if a.Behind > behindLimit && b.Behind > behindLimit && a.Place != b.Place && b.RelayHolder != "" {
			found = append(found, fallenBehind(a, b, over))
		}
	}
	if !then.Figures || !now.Figures || !now.Exact {
		return found // what the figures count as ready may have been handled since
	}
	for _, w := range p.Workers {
		a, b := then.Queues[w.Queue], now.Queues[w.Queue]
		if a.Ready == 0 || b.Ready == 0 || a.Consumers == 0 || b.Consumers == 0 || a.Acked != b.Acked {
			continue
		}
		kind, what := Progress, wording.Sprintf("%s holds %s, and nothing was acknowledged by its %s for %s", w.Queue, wording.Count(b.Ready, "message"), wording.Count(int64(b.Consumers), "consumer"), over)
		if w.Queue == topology.DeadLetterLog {
			kind, what = DeadLetterLog, wording.Sprintf("%s not recorded for %s", wording.Count(b.Ready, "dead letter"), over)
		}
		found = append(found, Problem{Kind: kind, Subject: w.Queue, What: what,
			Do: "look at the log of " + w.Name + ": it may wait for the database or for a service it calls"})
	}
	return found
}

// fallenBehind tells of a relay that publishes, and not what is logged as fast as it is: it says when it will have.
func fallenBehind(a, b eventlog.Health, over time.Duration) Problem {
	published, gained := b.End-a.End-(b.Unpublished-a.Unpublished), a.Unpublished-b.Unpublished
	p := Problem{Kind: Relay, Warning: true, Do: "nothing while a file is imported or much is published; else look at the broker's disk, and at what publishes so much",
		What: wording.Sprintf("the relay of %s publishes %d events a second and is %s behind with %d", b.RelayHolder, int64(float64(published)/over.Seconds()), b.Behind.Round(time.Second), b.Unpublished)}
	if gained > 0 {
		left := time.Duration(float64(over) * float64(b.Unpublished) / float64(gained))
		p.Do = fmt.Sprintf("nothing: at this speed it has caught up in about %s", left.Round(time.Second))
	}
	return p
}

// Unacknowledged judges which workers have messages in hand and have acknowledged none between two snapshots that are
// further apart than a batch, or a call to an outside service, may take.
func (p Plan) Unacknowledged(then, now observer.Snapshot) []Problem {
	if !then.Figures || !now.Figures {
		return nil
	}
	var found []Problem
	for _, w := range p.Workers {
		a, b := then.Queues[w.Queue], now.Queues[w.Queue]
		if a.Unacked == 0 || b.Unacked == 0 || a.Consumers == 0 || b.Consumers == 0 || a.Acked != b.Acked {
			continue
		}
		found = append(found, Problem{Kind: Progress, Subject: w.Queue, Do: "look at the log of " + w.Name + " and at what it waits for; restart it if it hangs",
			What: wording.Sprintf("%s of %s in hand, and none acknowledged for %s", wording.Count(b.Unacked, "message"), w.Queue, now.At.Sub(then.At).Round(time.Second))})
	}
	return found
}

// Busy tells whether something should move: only then is a second snapshot worth the wait.
func (p Plan) Busy(now observer.Snapshot) bool {
	if now.Database == nil && now.Log.RelayHolder != "" && (now.Log.Unpublished > 0 || now.Log.End > now.Log.Covered) {
		return true
	}
	return slices.ContainsFunc(p.Workers, func(w Worker) bool {
		q := now.Queues[w.Queue]
		return q.Ready > 0 && q.Consumers > 0
	})
}
