package watchdog

// Kind is what sort of problem it is: the label of the metric, a closed set.
type Kind string

// The kinds of problems.
const (
	Database      Kind = "database"  // it does not answer
	Broker        Kind = "broker"    // it does not answer
	Access        Kind = "access"    // a permission is missing
	Unseen        Kind = "unseen"    // the management API does not tell
	Node          Kind = "node"      // one of the broker's is down
	Alarm         Kind = "alarm"     // memory or disk: nobody can publish
	Topology      Kind = "topology"  // something is missing
	Mismatch      Kind = "mismatch"  // something has other arguments than it shall
	Ticker        Kind = "ticker"    // it does not tick
	Relay         Kind = "relay"     // it does not move
	Consumers     Kind = "consumers" // a queue has none
	Progress      Kind = "progress"  // a queue's consumers acknowledge nothing
	DeadLetterLog Kind = "journal"   // dead letters are not written down
	Stuck         Kind = "stuck"     // dead-lettered messages have no place to go
	Unrouted      Kind = "unrouted"  // events went to nobody
	Growth        Kind = "growth"    // the broker's disk will be full
	Pending       Kind = "owed"      // what was lost is still to be published again
)

// Kinds are all of them.
var Kinds = []Kind{Database, Broker, Access, Unseen, Node, Alarm, Topology, Mismatch, Ticker, Relay, Consumers, Progress, DeadLetterLog, Stuck,
	Unrouted, Growth, Pending}

// Problem is one thing that is wrong. Kind and Subject say whether it is the same one as at the look before.
type Problem struct {
	Kind    Kind
	Subject string // a queue, a node; what it is about
	What    string // a sentence
	Do      string // what a person can do; empty where What says it
	Warning bool   // it works still, and somebody should look
}

type identity struct {
	kind    Kind
	subject string
}

func (p Problem) identity() identity { return identity{p.Kind, p.Subject} }
