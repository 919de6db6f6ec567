package rabbitmq

import (
	"time"

	"github.com/composerp/composerp/exchange/topology"
)

// # The life after death
//
// A message leaves the dead letters by `composerp dlq redrive`, which makes a RedriveMessage of it, or by an operator's
// hand in the management UI: moved by Shovel it arrives with all its headers and its queue's name for a key, published
// anew as the operator typed it. In each case it begins a new life with a whole ladder before it. What was moved tells
// by the header x-dead, which every one of our dead letters has, or by the broker's account of a death that was no
// expiry; a message on the ladder has neither, for the ladder takes both away.

// The headers of those that were dead before. They stay for good.
const (
	HeaderDead       = "x-dead"        // the queue of dead letters it was sent to; goes when it is tried again
	HeaderRedriven   = "x-redriven"    // how often it came back
	HeaderRedrivenAt = "x-redriven-at" // RFC 3339, the last time
	HeaderDiedOf     = "x-died-of"     // the error it died of, the last time
)

// RedriveMessage is the dead letter d as it goes back to the queue of worker, as new but for its history. Publish it,
// wait for the confirmation, then acknowledge d.
func RedriveMessage(d Delivery, worker string) Message {
	m := d.Message
	m.Exchange, m.RoutingKey = topology.Retry, topology.QueueName(worker)
	m.ID = messageID(m)
	m.Headers = carriedHeaders(d.Headers)
	revive(m.Headers, d.Failure())
	return m
}

// Redriven is how often the message has come back from the dead, and when last.
func (d Delivery) Redriven() (times int, at time.Time) {
	return int(integer(d.Headers[HeaderRedriven])), instant(d.Headers[HeaderRedrivenAt])
}

// fromDead tells whether d came straight from the dead letters, by whatever hand.
func (d Delivery) fromDead() bool {
	if _, marked := d.Headers[HeaderDead]; marked {
		return true
	}
	death, there := lastDeath(d.Headers)
	return there && text(death["reason"]) != expired
}

// revive takes from a dead letter's headers what was of its last life, and keeps its history: when it failed last too,
// for by that the journal of failures tells the tries of this life from those of the last.
func revive(headers map[string]any, f Failure) {
	for _, name := range []string{HeaderAttempt, HeaderWorker, HeaderError, HeaderDead, HeaderDeferred, HeaderWaitsFor, HeaderQuarantine} {
		delete(headers, name)
	}
	headers[HeaderRedriven] = integer(headers[HeaderRedriven]) + 1
	headers[HeaderRedrivenAt] = time.Now().UTC().Format(time.RFC3339Nano)
	if f.Error != "" {
		headers[HeaderDiedOf] = f.Error
		keepFirst(headers, HeaderFirstError, f.Error)
	}
	if !f.LastFailedAt.IsZero() {
		headers[HeaderLastFailedAt] = f.LastFailedAt.UTC().Format(time.RFC3339Nano)
	}
	if !f.FirstFailedAt.IsZero() {
		keepFirst(headers, HeaderFirstFailedAt, f.FirstFailedAt.UTC().Format(time.RFC3339Nano))
	}
	if f.OriginalRoutingKey != "" {
		keepFirst(headers, HeaderOriginalExchange, f.OriginalExchange)
		keepFirst(headers, HeaderOriginalRoutingKey, f.OriginalRoutingKey)
	}
}
