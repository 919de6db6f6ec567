package rabbitmq_test

import (
	"errors"
	"regexp"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

// The broker does with a policy what topology.PolicyEffects says of it.
func TestWhatAPolicyDoes(t *testing.T) {
	t.Parallel()
	dead := topology.DeadQueueName(ledger)
	retry := topology.RetryQueueName(ledger, retryDelay)
	for name, c := range map[string]struct {
		queue      string
		policy     map[string]any
		left, dead int  // of four messages, in the queue and among the dead letters
		refused    bool // the last of them
		gone       bool // the queue
	}{
		"message-ttl":           {queue: ledgerQueue, policy: map[string]any{"message-ttl": 50}, dead: 4},
		"message-ttl, deleting": {queue: topology.Unrouted, policy: map[string]any{"message-ttl": 50}},
		"max-length":            {queue: ledgerQueue, policy: map[string]any{"max-length": 2}, left: 2, refused: true},
		"max-length, dropping":  {queue: ledgerQueue, policy: map[string]any{"max-length": 2, "overflow": "drop-head"}, left: 2, dead: 2},
		"max-length, deleting":  {queue: topology.Unrouted, policy: map[string]any{"max-length": 2}, left: 2},
		"max-length, refusing":  {queue: topology.Unrouted, policy: map[string]any{"max-length": 2, "overflow": "reject-publish"}, left: 2, refused: true},
		"expires":               {queue: retry, policy: map[string]any{"expires": 50}, gone: true},
		"dead-letter-exchange":  {queue: ledgerQueue, policy: map[string]any{"dead-letter-exchange": "elsewhere", "message-ttl": 50}, dead: 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := withLedger(t)
			session := open(t, config)
			rabbitmqtest.SetPolicy(t, config, "odd", "^"+regexp.QuoteMeta(c.queue)+"$", c.policy)
			eventually(t, "the policy is in force", func() bool {
				states, err := rabbitmqtest.Management(t).Queues(testContext(t), rabbitmqtest.VhostOf(t, config))
				must(t, err)
				if s, found := states[c.queue]; found {
					return len(s.Policy) == len(c.policy) && s.PolicyName == "policy odd"
				}
				return c.gone
			})
			ready := func(queue string) int {
				n, _, err := session.Depth(queue)
				if c.gone && errors.Is(err, rabbitmq.ErrMissing) {
					return -1
				}
				must(t, err)
				return n
			}
			if c.gone {
				eventually(t, "the queue is deleted", func() bool { return ready(c.queue) < 0 })
				return
			}
			p, refused := publisher(t, session, 1), 0
			for n := range 4 {
				m := sale(n)
				if c.queue == topology.Unrouted {
					m.RoutingKey = "nothing.is.bound"
				}
				err := publish(t, p, m).Wait(testContext(t))
				if errors.Is(err, rabbitmq.ErrNacked) {
					refused++
				} else {
					must(t, err)
				}
			}
			if (refused > 0) != c.refused {
				t.Errorf("%d of 4 messages are refused, want some: %t", refused, c.refused)
			}
			eventually(t, "the queues have what is left", func() bool {
				left := ready(c.queue)
				return ready(dead) == c.dead && (left == c.left || c.refused && left == 4-refused)
			})
		})
	}
}
