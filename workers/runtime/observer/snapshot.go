package observer

import (
	"time"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
)

// Snapshot is the state of the fleet at one moment. A question that was not answered has an error instead.
type Snapshot struct {
	At       time.Time
	Log      eventlog.Health
	Database error  // why the log could not be read
	Broker   error  // why the broker did not answer over AMQP
	Access   error  // the permission that the broker's user lacks
	Blocked  string // why the broker accepts no messages, as it told the publishing connection
	// Have is what the broker holds of the topology. Seen says that its bindings and arguments are known too.
	Have topology.Topology
	Seen bool
	// Queues are by name. Without Figures only Ready and Consumers are known of them.
	Queues  map[string]topology.QueueState
	Figures bool
	// Reported are the queues that the management API has figures for; a new queue has none for some seconds.
	Reported map[string]bool
	// Exact says that Ready and Consumers are exact, of the queues in Sampled: a queue of the topology that is not in
	// it does not exist. Sampled is Ready as the management API had it, some seconds ago.
	Exact   bool
	Sampled map[string]int64
	Nodes   []management.NodeState
	Unseen  error // why the management API did not answer
}

func newSnapshot() Snapshot {
	return Snapshot{At: time.Now(), Queues: map[string]topology.QueueState{}, Reported: map[string]bool{}, Sampled: map[string]int64{}}
}
