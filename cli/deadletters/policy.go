package deadletters

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// addPolicies adds what policies set now to the letters that a policy made, where the log does not have what they set
// then: the broker does not record it, and the watchdog had not seen it.
func (c letterLog) addPolicies(ctx context.Context, letters []deadletters.Entry) {
	var states map[string]topology.QueueState
	var unknown error
	for i, l := range letters {
		if l.Policy != "" || !strings.Contains(l.Error, rabbitmq.ExpiredByPolicy) && !strings.Contains(l.Error, rabbitmq.GivenUpByPolicy) {
			continue
		}
		if states == nil && unknown == nil {
			states, unknown = c.queueStates(ctx)
		}
		letters[i].Policy = cmp.Or(states[topology.QueueName(workerOf(l.Queue))].Policies(), "none now: the policy that made it a dead letter is gone")
		if unknown != nil {
			letters[i].Policy = "not known: " + unknown.Error()
		}
	}
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
