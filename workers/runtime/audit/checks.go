package audit

import (
	"fmt"
	"slices"

	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/audit"
)

// The checks of the queues, each from one snapshot.

func (l snapshot) check(name, what string, of func(q queue) bool, problem func(q queue) string) audit.Check {
	c := audit.Check{Name: name, What: what, Unit: "queues", Findings: []audit.Finding{}}
	for _, q := range l.queues {
		if !of(q) {
			continue
		}
		c.Count++
		if p := problem(q); p != "" {
			c.Findings = append(c.Findings, audit.Finding{Queue: q.name, Problem: p})
		}
	}
	c.Wrong = int64(len(c.Findings))
	c.OK = c.Wrong == 0
	return c
}

// relayCheck stands for the store's check of the log where some of it is still to be published.
func (l snapshot) relayCheck() audit.Check {
	c := audit.Check{Name: "published", What: "every event to be published is passed by the relay", Unit: "events", Findings: []audit.Finding{}}
	found := func(n int64, text string) {
		c.Wrong += n
		c.Findings = append(c.Findings, audit.Finding{Problem: fmt.Sprintf("%s %s", wording.Count(n, "event"), text)})
	}
	if l.log.Unpublished > 0 {
		found(l.log.Unpublished, "to be published: is a relay running, and does the ticker tick?")
	}
	if l.log.Moved > 0 {
		found(l.log.Moved, "entered the log since the snapshot before")
	}
	if n := l.log.DueForecasts; n > 0 {
		c.Wrong += n
		c.Findings = append(c.Findings, audit.Finding{Problem: wording.Count(n, "run") + " of forecasts to be published: does forecasting run?"})
	}
	c.Count, c.OK = c.Wrong, c.Wrong == 0
	return c
}

// restChecks are what a fleet at rest fulfils.
func (l snapshot) restChecks() []audit.Check {
	toHandle := func(q queue) bool { return q.role == working || q.role == deadLetterLog }
	queues := l.check("queues", "no message waits in a worker's queue, in a retry queue or for the dead-letter log", toHandle, func(q queue) string {
		switch {
		case q.ready > 0 && q.consumers == 0:
			return fmt.Sprintf("%s and no consumer", wording.Count(int64(q.ready), "message"))
		case q.ready > 0:
			return wording.Count(int64(q.ready), "message")
		}
		return absent(q)
	})
	hands := l.check("hands", "no message is unacknowledged", toHandle, func(q queue) string {
		if q.unacked > 0 {
			return wording.Count(q.unacked, "message") + " not acknowledged"
		}
		return ""
	})
	return []audit.Check{queues, l.seen(hands, toHandle)}
}

func (l snapshot) unroutedCheck() audit.Check {
	return l.check("unrouted", "every event had a bound queue", func(q queue) bool { return q.role == unrouted }, func(q queue) string {
		if q.ready > 0 {
			return wording.Count(int64(q.ready), "message") + " that no worker's queue was bound for"
		}
		return absent(q)
	})
}

func (l snapshot) stuckCheck() audit.Check {
	all := func(queue) bool { return true }
	return l.seen(l.check("stuck", "every dead-lettered message can be delivered", all, func(q queue) string {
		if q.stuck > 0 {
			return wording.Count(q.stuck, "message") + " in messages_dlx, which no depth shows: the queue or exchange it dead-letters to is not there"
		}
		return ""
	}), all)
}

// onlyStuck is the snapshot with no other queue stuck than those.
func (l snapshot) onlyStuck(stuck map[string]bool) snapshot {
	l.queues = slices.Clone(l.queues)
	for i, q := range l.queues {
		if !stuck[q.name] {
			l.queues[i].stuck = 0
		}
	}
	return l
}

// missingCheck is about queues that hold nothing because they do not exist.
func (l snapshot) missingCheck() audit.Check {
	return l.check("queues", "every queue is there", func(queue) bool { return true }, absent)
}

// absent is the problem of a queue that is not there.
func absent(q queue) string {
	if q.missing {
		return "is not there; apply the topology"
	}
	return ""
}

// seen marks a check as skipped when the management API does not have figures of all its queues.
func (l snapshot) seen(c audit.Check, of func(q queue) bool) audit.Check {
	if l.unseen != nil {
		c.Skipped = l.unseen.Error()
	}
	for _, q := range l.queues {
		if of(q) && !q.known && !q.missing && c.Skipped == "" {
			c.Skipped = "the management API has no figures of " + q.name
		}
	}
	// A finding stays one, whatever else was not seen.
	if c.Skipped != "" && len(c.Findings) == 0 {
		c.OK, c.Count = false, 0
	}
	return c
}
