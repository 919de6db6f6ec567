package audit_test

import (
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/runtime/audit"
)

// An event that is nowhere is lost, also where the fleet goes on; one that may be somewhere is late.
func TestLossBesideTheLoad(t *testing.T) {
	for name, c := range map[string]struct {
		held       func(look int) int
		send       string // a message to the retry exchange, by this key
		conclusion audit.Verdict
		failed     string
	}{
		"nowhere":                     {func(int) int { return 0 }, "", audit.Findings, "handled implied hands"},
		"in hand":                     {func(int) int { return 1 }, "", audit.InFlight, "hands"},
		"perhaps in a retry queue":    {func(int) int { return 0 }, topology.RetryQueueName("ledger", time.Hour), audit.InFlight, "queues hands"},
		"perhaps on its way to death": {func(int) int { return 0 }, topology.DeadLetterLog, audit.InFlight, "queues hands"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newEnv(t)
			p.load(t, c.held)
			p.pend(t)
			switch c.send {
			case "":
			case topology.DeadLetterLog:
				p.send(topology.Dead, topology.QueueName("ledger"))
			default:
				p.send(topology.Retry, c.send)
			}
			r := p.run()
			if r.Verdict != c.conclusion || failed(r) != c.failed {
				t.Errorf("verdict %q, failed %q; want %q, %q:\n%s", r.Verdict, failed(r), c.conclusion, c.failed, r.Table())
			}
			if (c.conclusion == audit.InFlight) != (len(r.InFlight) == 1) {
				t.Errorf("in flight are %+v", r.InFlight)
			}
			if (c.conclusion == audit.InFlight) == r.ProvenUpTo.IsZero() {
				t.Errorf("proven up to %v", r.ProvenUpTo)
			}
		})
	}
}

// Without a look at all queues, and for long enough, nothing is called lost.
func TestALateEventIsNoLossWithoutASnapshot(t *testing.T) {
	p := newEnv(t)
	p.load(t, func(int) int { return 0 })
	p.pend(t)
	p.Wait = time.Millisecond
	if r := p.run(); r.Verdict != audit.InFlight {
		t.Errorf("after one look:\n%s", r.Table())
	}
	p.Management = nil
	p.send(topology.Events, saleKey) // it has no consumer: the fleet does not come to rest
	p.Wait = time.Second
	if r := p.run(); r.Verdict != audit.InFlight {
		t.Errorf("without the management API:\n%s", r.Table())
	}
}
