package roles

import (
	"regexp"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/topology"
)

// Role is a part of the fleet, or a program beside it, with a user of its own.
type Role string

// The roles beside those of the workers.
const (
	Publisher  Role = "publisher"
	Relay      Role = "relay"
	Topology   Role = "topology"
	Operator   Role = "operator"
	Monitoring Role = "monitoring"
)

const (
	workerPart = "worker-"
	userPart   = "composerp-"
	none       = "^$"
)

// Worker is the role of a worker.
func Worker(name string) Role { return Role(workerPart + name) }

// User is the usual name of the role's user on the broker: "composerp-worker-ledger".
func (r Role) User() string { return userPart + string(r) }

// Permissions are regular expressions of names: what a user may declare and delete, write to, and read from.
type Permissions struct {
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// TopicPermissions are regular expressions of routing keys, for one topic exchange: with which keys a user may publish,
// and bind.
type TopicPermissions struct {
	Exchange string `json:"exchange"`
	Write    string `json:"write"`
	Read     string `json:"read"`
}

// Grant is what a role may do on a broker.
type Grant struct {
	Role Role
	Tags []string // of the management API
	Permissions
	Topics []TopicPermissions
}

// Of are the grants of a fleet, in order; those of the workers last, by their names.
func Of(subs []topology.Subscription) []Grant {
	grants := []Grant{publisher(), relay(), declarer(), operator(), monitoring()}
	for _, sub := range slices.SortedFunc(slices.Values(subs), byWorker) {
		grants = append(grants, worker(sub))
	}
	return grants
}

func byWorker(a, b topology.Subscription) int { return strings.Compare(a.Worker, b.Worker) }

func publisher() Grant {
	return Grant{Role: Publisher, Permissions: Permissions{none, names(topology.Events), none},
		Topics: []TopicPermissions{{topology.Events, `^integration\.`, none}}}
}

// relay also republishes: to a worker's queue by composerp.retry, and from composerp.unrouted. It feeds the stream.
func relay() Grant {
	return Grant{Role: Relay, Permissions: Permissions{none, names(topology.Events, topology.EventsV1, topology.Unrouted, topology.Retry, topology.Stream), names(topology.Unrouted)}}
}

// declarer publishes nothing but probes, which have no route.
func declarer() Grant {
	ours := "^" + regexp.QuoteMeta(topology.Prefix)
	return Grant{Role: Topology, Permissions: Permissions{ours, ours + `|^amq\.default$`, ours},
		Topics: []TopicPermissions{
			{topology.Events, none, ".*"},
			{topology.EventsV1, none, ".*"},
			{topology.Retry, names(topology.NoRoute), ".*"},
			{topology.Dead, none, ".*"},
		}}
}

// operator follows a redrive by queues of its own, which begin with composerp.dlq, and asks how much waits in all
// queues. RabbitMQ 4.3 refuses long patterns, so that these name no worker: of the exchanges the second one has those
// of composerp.events, .retry, .dead and .unrouted.
func operator() Grant {
	followed := quoted(topology.RedrivePrefix) + ".+"
	prefix := quoted(topology.Prefix)
	return Grant{Role: Operator, Permissions: Permissions{
		Configure: "^" + followed + "$",
		Write:     oneOf([]string{prefix + `[^.]+`, prefix + `[^.]+\.(dead|(retry|lane)\..+)`, followed}),
		Read:      oneOf([]string{quoted(topology.Unrouted), quoted(topology.Retry), quoted(topology.Dead), prefix + `[^.]+\.dead`, followed}),
	}, Topics: []TopicPermissions{{topology.Dead, none, ".*"}}}
}

// monitoring needs the virtual host, but nothing in it: the management API shows a virtual host to its users.
func monitoring() Grant {
	return Grant{Role: Monitoring, Tags: []string{"monitoring"}, Permissions: Permissions{none, none, none}}
}

func worker(sub topology.Subscription) Grant {
	g := Grant{Role: Worker(sub.Worker), Permissions: Permissions{Configure: none}}
	queue := topology.QueueName(sub.Worker)
	if sub.Queue != "" {
		queue = sub.Queue
	}
	write := []string{topology.Retry, topology.Dead, topology.DeadLetterLog} // the last: its health asks for it
	read := []string{quoted(queue)}
	if sub.Queue == "" {
		write = append(write, given(sub)...)
	}
	if sub.Ordered {
		write = append(write, topology.LanesName(sub.Worker))
		read = append(read, topology.LanePattern(sub.Worker))
	}
	g.Write, g.Read = names(write...), oneOf(read)
	g.Topics = []TopicPermissions{
		{topology.Retry, "^" + quoted(queue) + `(\.retry\..+)?$`, none},
		{topology.Dead, names(queue), none},
	}
	return g
}

// given are the queues that a worker gives messages to.
func given(sub topology.Subscription) []string {
	queues := []string{topology.DeadQueueName(sub.Worker)}
	for _, d := range slices.Compact(slices.Sorted(slices.Values(sub.RetryDelays))) {
		queues = append(queues, topology.RetryQueueName(sub.Worker, d))
	}
	return queues
}

// names matches these names and no others.
func names(of ...string) string {
	patterns := make([]string, len(of))
	for i, name := range of {
		patterns[i] = quoted(name)
	}
	return oneOf(patterns)
}

func oneOf(patterns []string) string {
	if len(patterns) == 1 {
		return "^" + patterns[0] + "$"
	}
	return "^(" + strings.Join(patterns, "|") + ")$"
}

func quoted(name string) string { return regexp.QuoteMeta(name) }
