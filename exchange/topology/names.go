package topology

import (
	"strings"
	"time"
)

// The exchanges, and the two queues that belong to no worker.
const (
	Events        = "composerp.events"       // topic: every event, by its routing key
	Retry         = "composerp.retry"        // topic: to a rung or back to a worker's queue, by its name
	Dead          = "composerp.dead"         // topic: dead letters, by the name of the queue they fell from
	Unrouted      = "composerp.unrouted"     // fanout, and its queue: events nobody is bound to
	DeadLetterLog = "composerp.dead-letter-log" // queue: a copy of every dead letter, for the worker deadletterlog

	OldDeadLetterLog = "composerp.dead-journal" // its name in the version before; workers/deadletterlog empties and deletes it
)

// FilterName, UnloggedName and LoggedName are the three exchanges before the queue of a worker who hears only what
// outsiders publish: to the filter goes all it subscribes to, from there to the one or to the other.
func FilterName(worker string) string   { return QueueName(worker) + ".filter" }   // headers
func ExternalName(worker string) string { return QueueName(worker) + ".unlogged" } // fanout: to its queue
func LoggedName(worker string) string   { return QueueName(worker) + ".logged" }   // fanout: nothing is bound, this is dropped

// HeaderRelayed is true on every message that the relay publishes: it comes from the log, and need not be logged.
const HeaderRelayed = "x-relayed"

const Prefix = "composerp."

// QueueName is the queue of a worker: "composerp.ledger".
func QueueName(worker string) string { return Prefix + worker }

// RungName is the retry queue of a worker that holds a message for d: "composerp.ledger.retry.15m".
func RetryQueueName(worker string, d time.Duration) string {
	return QueueName(worker) + ".retry." + shortDuration(d)
}

// DeadName is the queue of a worker's dead letters: "composerp.ledger.dead".
func DeadQueueName(worker string) string { return QueueName(worker) + ".dead" }

// shortDuration writes 15m for Go's 15m0s: it stands in queue names that people read and type.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
