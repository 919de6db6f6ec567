package topology

import (
	"strings"
	"time"
)

// The exchanges, and the queues that belong to no worker.
const (
	Events        = "composerp.events"          // topic: every event, by its routing key
	EventsV1      = "composerp.events.v1"       // topic: the older version of types that have two live ones
	Retry         = "composerp.retry"           // topic: to a retry queue, or back to a worker's queue, by its name
	Dead          = "composerp.dead"            // topic: dead letters, by the name of the worker's queue
	Unrouted      = "composerp.unrouted"        // fanout, and its queue: events without a binding
	DeadLetterLog = "composerp.dead-letter-log" // queue: a copy of every dead letter, for the dead-letter log
	Stream        = "composerp.stream"          // fanout, and its stream queue: a copy of the log, where it is switched on

	// OldDeadLetterLog is its name in the version before; workers/deadletterlog empties and deletes it.
	OldDeadLetterLog = "composerp.dead-journal"
)

// FilterName is the first of three exchanges before the queue of a worker that consumes only external publishers'
// events: its subscriptions are bound to the filter, which passes each event on to ExternalName or LoggedName.
func FilterName(worker string) string { return QueueName(worker) + ".filter" } // headers

// ExternalName is the exchange that leads to the queue: events without HeaderRelayed.
func ExternalName(worker string) string { return QueueName(worker) + ".unlogged" } // fanout: to its queue

// LoggedName is the exchange without bindings that drops relayed events.
func LoggedName(worker string) string { return QueueName(worker) + ".logged" } // fanout, without bindings: drops

// HeaderRelayed is true on every message that the relay publishes: it comes from the log, and need not be logged.
const HeaderRelayed = "x-relayed"

// Prefix begins the name of every exchange and queue of the fleet.
const Prefix = "composerp."

// RedrivePrefix begins the names of the queues by which a redrive is followed; they end with it.
const RedrivePrefix = Prefix + "dlq."

// NoRoute is a routing key that no queue is ever bound for: messages that test a permission or a limit have it.
const NoRoute = Prefix + "none"

// QueueName is the queue of a worker: "composerp.ledger".
func QueueName(worker string) string { return Prefix + worker }

// RetryQueueName is the retry queue of a worker that holds a message for d: "composerp.ledger.retry.15m".
func RetryQueueName(worker string, d time.Duration) string {
	return QueueName(worker) + retryPart + shortDuration(d)
}

const retryPart = ".retry."

// IsRetryQueue reports whether a queue is a worker's retry queue.
func IsRetryQueue(queue string) bool {
	return strings.HasPrefix(queue, Prefix) && strings.Contains(queue, retryPart)
}

// DeadQueueName is the queue of a worker's dead letters: "composerp.ledger.dead".
func DeadQueueName(worker string) string { return QueueName(worker) + ".dead" }

// WorkerOf is the worker that a queue belongs to: its own, a retry queue, a lane or its dead letters.
func WorkerOf(queue string) string {
	worker, _, _ := strings.Cut(strings.TrimPrefix(queue, Prefix), ".")
	return worker
}

// shortDuration writes 15m for Go's 15m0s: people read and type queue names.
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
