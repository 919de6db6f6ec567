package rabbitmq

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/topology"
)

// The headers we write and read.
const (
	HeaderLogSeq             = "x-log-seq"              // the event's log position
	HeaderAttempt            = "x-attempt"              // how many attempts have failed
	HeaderWorker             = "x-failed-worker"        // the worker that failed
	HeaderError              = "x-error"                // the last error
	HeaderFirstError         = "x-first-error"          // the first error
	HeaderFirstFailedAt      = "x-first-failed-at"      // RFC 3339
	HeaderLastFailedAt       = "x-last-failed-at"       // RFC 3339
	HeaderOriginalExchange   = "x-original-exchange"    // where it was first published
	HeaderOriginalRoutingKey = "x-original-routing-key" // and its routing key there
	HeaderDeferred           = "x-deferred"             // how often it has waited for a dependency; not an attempt
	HeaderWaitsFor           = "x-waits-for"            // the dependency it waits for
	HeaderQuarantine         = "x-quarantine"           // the class of failing events that it is held back with
	HeaderTraceparent        = "traceparent"            // W3C Trace Context, as an external publisher sets it
	HeaderUserID             = "x-user-id"              // who published the message that this one is a copy of
	HeaderReplay             = "x-replay"               // the replay that published it, by number
	HeaderReplayAgain        = "x-replay-again"         // true: its worker handles the event again
)

// HeaderUnreadable says which part of a message cannot be read, and why. It is written where a message arrives and is
// never published.
const HeaderUnreadable = "x-unreadable"

const (
	headerDeliveryCount = "x-delivery-count"
	headerAcquiredCount = "x-acquired-count" // from 4.3 on: how often it was delivered, whatever became of it
)

// deliveryCount is how often the queue has counted a delivery of the message. The header of a first delivery is of
// another queue, from where the message was moved by hand. From 4.3 on, where a nack counts no delivery, such a header
// stands until a delivery counts: the queue cannot have counted more of them than it made.
func deliveryCount(d amqp.Delivery) int64 {
	if !d.Redelivered {
		return 0
	}
	count := integer(d.Headers[headerDeliveryCount])
	if made, ok := d.Headers[headerAcquiredCount]; ok {
		count = min(count, integer(made))
	}
	return count
}

// isBrokerHeader reports whether a header is the broker's record of this copy of the message. Published again it would
// count for the new copy: x-death even decides where a message may go.
func isBrokerHeader(name string) bool {
	return name == "x-death" || name == headerDeliveryCount || name == headerAcquiredCount || name == HeaderUnreadable ||
		strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}

// carriedHeaders are a delivery's headers for its next copy. An external publisher's headers are left out when ours
// would no longer fit.
func carriedHeaders(headers map[string]any) map[string]any {
	carried := make(map[string]any, len(headers)+8)
	size := 0
	for name, value := range headers {
		if !isBrokerHeader(name) {
			carried[name] = value
			size += headerSize(name, value)
		}
	}
	if size > maxHeaders/2 {
		maps.DeleteFunc(carried, func(name string, value any) bool {
			return !slices.Contains(ours, name) || headerSize(name, value) > 2*maxErrorText
		})
	}
	return carried
}

// ours are the headers that we write.
var ours = []string{
	HeaderLogSeq, topology.HeaderRelayed, HeaderAttempt, HeaderWorker, HeaderError, HeaderFirstError, HeaderFirstFailedAt, HeaderLastFailedAt,
	HeaderOriginalExchange, HeaderOriginalRoutingKey, HeaderDeferred, HeaderWaitsFor, HeaderQuarantine,
	HeaderRedriven, HeaderRedrivenAt, HeaderDiedOf, HeaderUserID, HeaderReplay, HeaderReplayAgain, delay.Header,
}

// headerSize is about the size of a header on the wire.
func headerSize(name string, value any) int {
	size := len(name) + 16
	switch v := value.(type) {
	case string:
		size += len(v)
	case []byte:
		size += len(v)
	case []any:
		for _, element := range v {
			size += headerSize("", element)
		}
	case amqp.Table:
		for inner, element := range v {
			size += headerSize(inner, element)
		}
	}
	return size
}

// integer reads a header as a whole number of any width; anything else is 0.
func integer(value any) int64 {
	switch v := reflect.ValueOf(value); {
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return int64(v.Uint())
	default:
		return 0
	}
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

func instant(value any) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, text(value))
	return t
}
