package unrouted

import (
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

// Reason is why no queue took a message.
type Reason string

// The reasons, from the one that is over to the one that no command helps with.
const (
	BoundNow       Reason = "bound now"       // a queue is bound for its key by now
	MissingBinding Reason = "missing binding" // the fleet consumes its key, and the broker lacks the binding
	WrongKey       Reason = "wrong key"       // nothing knows its key, and its event type has another
	NoConsumer     Reason = "no consumer"     // its key is its type's, and no worker of the fleet consumes it
	UnknownKey     Reason = "unknown key"     // neither the fleet nor the catalogue knows its key or its type
)

// Reasons are all of them, in that order.
var Reasons = []Reason{BoundNow, MissingBinding, WrongKey, NoConsumer, UnknownKey}

// Advice is what to do about messages with that reason.
func (r Reason) Advice() string {
	switch r {
	case BoundNow:
		return "composerp dlq redrive --queue unrouted publishes them again"
	case MissingBinding:
		return "composerp topology apply, then composerp dlq redrive --queue unrouted"
	case WrongKey:
		return "correct the key at the publisher; composerp dlq redrive --queue unrouted sends these under their type's key"
	case NoConsumer:
		return "start a worker that consumes the type, or composerp dlq discard --queue unrouted"
	default:
		return "correct key and type at the publisher, and let it publish again; then composerp dlq discard --queue unrouted"
	}
}

// Routes are what the fleet and the broker know of routing keys.
type Routes struct {
	fleet, broker []string // patterns that queues are bound by, or are to be
}

// RoutesOf are the routes of a fleet. have is what the broker holds; nil where that is unknown: then every binding of
// the fleet counts as there.
func RoutesOf(fleet topology.Topology, have *topology.Topology) Routes {
	if have == nil {
		have = &fleet
	}
	return Routes{fleet: patterns(fleet), broker: patterns(*have)}
}

func patterns(t topology.Topology) (found []string) {
	for _, b := range t.Bindings {
		if b.Exchange == topology.Events {
			found = append(found, b.RoutingKey)
		}
	}
	return found
}

// Key is the key to publish a message under so that a queue takes it now; "" when there is none.
func (r Routes) Key(d rabbitmq.Delivery) string {
	return r.routed(keyOf(d), typeOf(d).RoutingKey())
}

// Takes tells whether a queue takes the letter now, under its key or its type's.
func (r Routes) Takes(l Letter) bool { return r.Key(l.delivery) != "" }

// routed is that of its own key and its type's by which a queue is bound.
func (r Routes) routed(key, ofType string) string {
	switch {
	case matchesAny(r.broker, key):
		return key
	case ofType != "" && !matchesAny(r.fleet, key) && matchesAny(r.broker, ofType):
		return ofType
	}
	return ""
}

// Reason is why a message with this key and type is unrouted.
func (r Routes) Reason(key string, t event.Type) Reason {
	ofType := t.RoutingKey()
	switch {
	case matchesAny(r.broker, key):
		return BoundNow
	case matchesAny(r.fleet, key):
		return MissingBinding
	case ofType == "":
		return UnknownKey
	case ofType != key:
		return WrongKey
	}
	return NoConsumer
}

// keyOf is the routing key that the message was published with.
func keyOf(d rabbitmq.Delivery) string { return rabbitmq.RerouteMessage(d).RoutingKey }

func matchesAny(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(strings.Split(p, "."), strings.Split(key, ".")) })
}

// RoutedBy tells whether a topic exchange routes a key to a queue that is bound to it by a pattern.
func RoutedBy(pattern, key string) bool { return matchesAny([]string{pattern}, key) }

// matches tells whether a topic exchange routes the key by the pattern: * is one word, # any number of them.
func matches(pattern, key []string) bool {
	switch {
	case len(pattern) == 0:
		return len(key) == 0
	case pattern[0] == "#":
		return matches(pattern[1:], key) || len(key) > 0 && matches(pattern, key[1:])
	case len(key) == 0:
		return false
	}
	return (pattern[0] == "*" || pattern[0] == key[0]) && matches(pattern[1:], key[1:])
}
