package rabbitmq

import (
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/topology"
)

// maxErrorText bounds x-error: a long text would crowd the headers.
const maxErrorText = 1000

// RetryMessage is d for the retry queue of worker that holds it for that delay; cause is why. Its attempt is one
// higher. Publish it, wait for the confirmation, then acknowledge d.
func RetryMessage(d Delivery, worker string, delay time.Duration, cause error) Message {
	return failed(d, worker, cause, topology.Retry, topology.RetryQueueName(worker, delay))
}

// DeadMessage is d for worker's dead-letter queue; cause is why. Publish it, wait for the confirmation, then
// acknowledge d.
func DeadMessage(d Delivery, worker string, cause error) Message {
	m := failed(d, worker, cause, topology.Dead, topology.QueueName(worker))
	m.Headers[HeaderDead] = topology.DeadQueueName(worker)
	return m
}

// DeferMessage is d for the retry queue of worker that holds it for that delay, because a dependency is away. That is
// no failure of the message: attempt and errors stay as they are. Publish it, wait for the confirmation, then
// acknowledge d.
func DeferMessage(d Delivery, worker string, delay time.Duration, dependency string) Message {
	m := forward(d, topology.Retry, topology.RetryQueueName(worker, delay))
	m.Headers[HeaderDeferred] = d.Deferred() + 1
	m.Headers[HeaderWaitsFor] = shortText(dependency)
	return m
}

func failed(d Delivery, worker string, cause error, exchange, key string) Message {
	m := forward(d, exchange, key)
	now := d.now().UTC().Format(time.RFC3339Nano)
	kept := text(m.Headers[HeaderError]) // of a version that kept only the last one
	keepFirst(m.Headers, HeaderFirstError, cmp.Or(kept, errorText(cause)))
	m.Headers[HeaderAttempt] = int64(d.Attempt() + 1)
	m.Headers[HeaderWorker] = worker
	m.Headers[HeaderError] = errorText(cause)
	m.Headers[HeaderLastFailedAt] = now
	keepFirst(m.Headers, HeaderFirstFailedAt, now)
	return m
}

// forward is d on its way from its worker's queue elsewhere, with its origin. Headers about its last queue are not
// carried on.
func forward(d Delivery, exchange, key string) Message {
	m := again(d, exchange, key)
	if d.fromDead() {
		clearFailure(m.Headers, d.Failure())
	}
	delete(m.Headers, HeaderWaitsFor)
	delete(m.Headers, HeaderQuarantine)
	keepFirst(m.Headers, HeaderOriginalExchange, d.Exchange)
	keepFirst(m.Headers, HeaderOriginalRoutingKey, d.RoutingKey)
	return m
}

// again is d to be published again, without the broker's own headers.
func again(d Delivery, exchange, key string) Message {
	m := d.Message
	m.Exchange, m.RoutingKey = exchange, key
	if m.ID == "" { // External publishers may omit it, but returns are matched by it.
		m.ID = uuid.NewSHA1(uuid.NameSpaceOID, m.Body).String()
	}
	m.Headers = carriedHeaders(d.Headers)
	m.OwnUser = d.OwnUser || d.UserID != ""
	if d.UserID != "" {
		m.Headers[HeaderUserID] = d.UserID
	}
	return m
}

// now is the time by the clock of the delivery's consumer.
func (d Delivery) now() time.Time {
	if d.consumer == nil {
		return time.Now() // made by hand, in a test
	}
	return d.consumer.session.config.Now()
}

func keepFirst(headers map[string]any, name, value string) {
	if _, there := headers[name]; !there {
		headers[name] = value
	}
}

func errorText(cause error) string {
	if cause == nil {
		return ""
	}
	return shortText(cause.Error())
}

func shortText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxErrorText {
		return s
	}
	s = s[:maxErrorText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// Failure is why a delivery was put into a retry queue or among the dead letters.
type Failure struct {
	Worker             string // "" when the broker dead-lettered it
	Error              string
	FirstError         string // "" when not recorded
	Attempt            int
	FirstFailedAt      time.Time // zero when not recorded
	LastFailedAt       time.Time
	OriginalExchange   string
	OriginalRoutingKey string
	Quarantine         string // the class it is held back with, "" when it died by itself
	ByPolicy           bool   // a policy's TTL or limit of length made the broker dead-letter it
}

// Failure reads the headers of RetryMessage and DeadMessage. When the broker itself dead-lettered the message last (by
// the delivery limit, or rejected by hand), it reads the broker's own headers.
func (d Delivery) Failure() Failure {
	f := Failure{
		Worker:             text(d.Headers[HeaderWorker]),
		Error:              text(d.Headers[HeaderError]),
		FirstError:         text(d.Headers[HeaderFirstError]),
		Attempt:            int(integer(d.Headers[HeaderAttempt])),
		FirstFailedAt:      instant(d.Headers[HeaderFirstFailedAt]),
		LastFailedAt:       instant(d.Headers[HeaderLastFailedAt]),
		OriginalExchange:   text(d.Headers[HeaderOriginalExchange]),
		OriginalRoutingKey: text(d.Headers[HeaderOriginalRoutingKey]),
		Quarantine:         text(d.Headers[HeaderQuarantine]),
	}
	death, there := lastDeath(d.Headers)
	queue := text(death["queue"])
	if !there || text(death["reason"]) == expired && topology.IsRetryQueue(queue) { // its delay ended
		return f
	}
	f.Worker = topology.WorkerOf(queue)
	reason, byPolicy := brokersReason(death)
	f.Error, f.ByPolicy = "the broker dead-lettered it from "+queue+": "+reason, byPolicy
	if at, ok := death["time"].(time.Time); ok {
		f.LastFailedAt = at
		if f.FirstFailedAt.IsZero() {
			f.FirstFailedAt = at
		}
	}
	if _, known := d.Headers[HeaderOriginalExchange]; !known {
		f.OriginalExchange = text(death["exchange"])
		if keys, _ := death["routing-keys"].([]any); len(keys) > 0 {
			f.OriginalRoutingKey = text(keys[0])
		}
	}
	return f
}

// brokersReason is why the broker dead-lettered a message. Workers' queues have no TTL among their arguments: only a
// policy gives them one, and only a policy's overflow makes a full queue give up its oldest messages.
func brokersReason(death amqp.Table) (reason string, byPolicy bool) {
	reason, ttl := text(death["reason"]), text(death["original-expiration"])
	switch {
	case reason == "maxlen":
		return GivenUpByPolicy + seePolicy, true
	case reason != expired:
		return reason, false
	case ttl != "":
		return "it expired there, by its own TTL of " + ttl + " ms (property expiration)", false
	default:
		return ExpiredByPolicy + seePolicy, true
	}
}

// Of a Failure by a policy one of these is in the error.
const (
	ExpiredByPolicy = "it expired there, by a policy's message-ttl"
	GivenUpByPolicy = "the queue was full and gave up its oldest, by a policy's max-length"
)

const seePolicy = " (composerp dlq show names the policy)"

// expired is the broker's reason for a message whose TTL has passed.
const expired = "expired"

// lastDeath is the broker's newest record of a dead-lettering. Messages that we publish carry none.
func lastDeath(headers map[string]any) (amqp.Table, bool) {
	deaths, _ := headers["x-death"].([]any)
	if len(deaths) == 0 {
		return nil, false
	}
	death, ok := deaths[0].(amqp.Table)
	return death, ok
}
