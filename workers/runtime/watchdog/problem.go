package watchdog

// Kind is what sort of problem it is: the label of the metric, a closed set.
type Kind string

// The kinds of problems.
const (
	Database      Kind = "database"      // it does not answer
	Broker        Kind = "broker"        // it does not answer
	Access        Kind = "access"        // a permission is missing
	Unseen        Kind = "unseen"        // the management API does not answer
	Node          Kind = "node"          // one of the broker's is down
	Alarm         Kind = "alarm"         // memory or disk: publishing is blocked
	Topology      Kind = "topology"      // something is missing
	Mismatch      Kind = "mismatch"      // something has other arguments than the fleet wants
	Policy        Kind = "policy"        // a policy changes what a queue does
	Ticker        Kind = "ticker"        // it does not tick
	Relay         Kind = "relay"         // it does not move
	Consumers     Kind = "consumers"     // a queue has none
	Progress      Kind = "progress"      // a queue's consumers acknowledge nothing
	DeadLetterLog Kind = "deadletterlog" // dead letters are not recorded
	Stuck         Kind = "stuck"         // dead-lettered messages cannot be delivered
	Unrouted      Kind = "unrouted"      // events without a bound queue
	Growth        Kind = "growth"        // the broker's disk will be full
	Pending       Kind = "pending"       // events that may be lost are not republished yet
	Lanes         Kind = "lanes"         // lanes have no node that handles them
	Stream        Kind = "stream"        // composerp.stream is on and behind the log
)

// Kinds are all of them.
var Kinds = []Kind{Database, Broker, Access, Unseen, Node, Alarm, Topology, Mismatch, Policy, Ticker, Relay, Consumers, Progress, DeadLetterLog, Stuck,
	Unrouted, Growth, Pending, Lanes, Stream}

// Problem is one thing that is wrong. Kind and Subject say whether it is the same one as in the snapshot before.
type Problem struct {
	Kind    Kind
	Subject string // a queue or a node
	What    string // a sentence
	Do      string // what an operator can do; empty where What says it
	Warning bool   // the fleet still works
}

type identity struct {
	kind    Kind
	subject string
}

func (p Problem) identity() identity { return identity{p.Kind, p.Subject} }
