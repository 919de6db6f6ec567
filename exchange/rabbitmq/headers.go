package rabbitmq

import (
	"maps"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/topology"
)

// The headers we write and read.
const (
	HeaderLogSeq             = "x-log-seq"              // the event's place in the log
	HeaderAttempt            = "x-attempt"              // how often it has failed so far
	HeaderWorker             = "x-failed-worker"        // who could not handle it
	HeaderError              = "x-error"                // what was wrong, the last time
	HeaderFirstError         = "x-first-error"          // and the first time
	HeaderFirstFailedAt      = "x-first-failed-at"      // RFC 3339
	HeaderLastFailedAt       = "x-last-failed-at"       // RFC 3339
	HeaderOriginalExchange   = "x-original-exchange"    // where it was published first
	HeaderOriginalRoutingKey = "x-original-routing-key" // and how
	HeaderDeferred           = "x-deferred"             // how often it has waited for a dependency so far; that is no attempt
	HeaderWaitsFor           = "x-waits-for"            // the dependency that it waits for now
	HeaderQuarantine         = "x-quarantine"           // the class of failing events that it is set aside with
)

const headerDeliveryCount = "x-delivery-count"

// brokersOwn says which headers belong to the broker's account of this one copy of the message. Published again, they
// would be taken for the new copy's: x-death even decides where a message may go.
func isBrokerHeader(name string) bool {
	return name == "x-death" || name == headerDeliveryCount || name == "x-acquired-count" ||
		strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}

// carried are a delivery's headers as they go on with its next copy. Where an outsider has sent so many that ours would
// no longer fit, the outsider's stay behind.
func carriedHeaders(headers map[string]any) map[string]any {
	kept := make(map[string]any, len(headers)+8)
	size := 0
	for name, value := range headers {
		if !isBrokerHeader(name) {
			kept[name] = value
			size += headerSize(name, value)
		}
	}
	if size > maxHeaders/2 {
		maps.DeleteFunc(kept, func(name string, value any) bool { return !isOurs(name) || headerSize(name, value) > 2*maxErrorText })
	}
	return kept
}

func isOurs(name string) bool {
	switch name {
	case HeaderLogSeq, topology.HeaderRelayed, HeaderAttempt, HeaderWorker, HeaderError, HeaderFirstError, HeaderFirstFailedAt, HeaderLastFailedAt,
		HeaderOriginalExchange, HeaderOriginalRoutingKey, HeaderDeferred, HeaderWaitsFor, HeaderQuarantine,
		HeaderRedriven, HeaderRedrivenAt, HeaderDiedOf:
		return true
	}
	return false
}

// headerSize is about what a header takes on the wire.
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

// integer reads a header that should be a whole number. Other clients write other widths; what is no number is 0.
func integer(value any) int64 {
	switch v := value.(type) {
	case int64:
		return v
	case int32:
		return int64(v)
	case int16:
		return int64(v)
	case int8:
		return int64(v)
	case byte:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case int:
		return int64(v)
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
