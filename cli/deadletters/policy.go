package deadletters

import (
	"context"
	"fmt"
	"strings"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// shownLetter is a letter, and what policies set for the queue where it expired.
type shownLetter struct {
	deadletters.Entry
	Policy string `json:"policy,omitempty"`
}

// shown adds the policies to letters that expired by one. The broker does not record which it was: they are those of
// now.
func (c letterLog) shown(ctx context.Context, entries []deadletters.Entry) []shownLetter {
	letters := make([]shownLetter, len(entries))
	var states map[string]topology.QueueState
	var unknown error
	for i, e := range entries {
		letters[i].Entry = e
		if !strings.Contains(e.Error, rabbitmq.ExpiredByPolicy) {
			continue
		}
		if states == nil && unknown == nil {
			states, unknown = c.queueStates(ctx)
		}
		letters[i].Policy = policyOf(states[topology.QueueName(workerOf(e.Queue))])
		if unknown != nil {
			letters[i].Policy = "not known: " + unknown.Error()
		}
	}
	return letters
}

func policyOf(q topology.QueueState) string {
	ttl, set := q.Policy["message-ttl"]
	if !set {
		return "none now: the policy that let it expire is gone"
	}
	return fmt.Sprintf("%s: message-ttl %s ms", q.PolicyName, topology.Literal(ttl))
}

// queueStates reads the broker's queues by the management API.
func (c letterLog) queueStates(ctx context.Context) (map[string]topology.QueueState, error) {
	management, err := settings.ManagementClient(c.endpoints)
	if err != nil {
		return nil, err
	}
	if management == nil {
		return nil, fmt.Errorf("no management API is configured")
	}
	broker, err := settings.BrokerConfig(c.endpoints, c.Log)
	if err != nil {
		return nil, err
	}
	vhost, err := broker.Vhost()
	if err != nil {
		return nil, err
	}
	return management.Queues(ctx, vhost)
}
