package rabbitmq

import (
	"time"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/topology"
)

// # Redrive
//
// A message leaves the dead letters by `composerp dlq redrive`, which makes a RedriveMessage of it, or by hand in the
// management UI: moved by Shovel it arrives with all its headers and its queue's name as key, published anew with the
// typed ones. In each case its attempts begin at 0 again. A moved message is recognised by the header x-dead, which
// every dead letter of ours has, or by the broker's record of a death other than expiry; retrying removes both.

// The headers of messages that were dead before. They stay for good.
const (
	HeaderDead       = "x-dead"        // its dead-letter queue; removed at the next attempt
	HeaderRedriven   = "x-redriven"    // how often it was redriven
	HeaderRedrivenAt = "x-redriven-at" // RFC 3339, the last time
	HeaderDiedOf     = "x-died-of"     // the error it died of, the last time
)

// RedriveMessage is the dead letter d for the queue of worker, as new but for its history. Publish it, wait for the
// confirmation, then acknowledge d.
func RedriveMessage(d Delivery, worker string) Message {
	m := again(d, topology.Retry, topology.QueueName(worker))
	clearFailure(m.Headers, d.Failure())
	if times, known := delay.Parse(m.Headers[delay.Header]); known {
		times.Until(delay.DeadLetter, time.Now())
		m.Headers[delay.Header] = times.String()
	}
	return m
}

// Redriven is how often the message was redriven, and when last.
func (d Delivery) Redriven() (times int, at time.Time) {
	return int(integer(d.Headers[HeaderRedriven])), instant(d.Headers[HeaderRedrivenAt])
}

// fromDead reports whether d came straight from the dead letters, by command or by hand.
func (d Delivery) fromDead() bool {
	if _, marked := d.Headers[HeaderDead]; marked {
		return true
	}
	death, there := lastDeath(d.Headers)
	return there && text(death["reason"]) != expired
}

// clearFailure removes the headers of a dead letter's last failure, and keeps its history: also the time of the last
// failure, by which the failure log tells attempts before the redrive from those after.
func clearFailure(headers map[string]any, f Failure) {
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
