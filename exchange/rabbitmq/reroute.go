package rabbitmq

import (
	"github.com/composerp/composerp/exchange/topology"
)

// RerouteMessage is d as it was first published, to publish again: for messages in composerp.unrouted. Publish it,
// wait for the confirmation, then acknowledge d.
func RerouteMessage(d Delivery) Message {
	exchange, key := firstPublished(d)
	return again(d, exchange, key)
}

// firstPublished is where d was first published, and with which key. Messages moved by hand arrive under their queue's
// name.
func firstPublished(d Delivery) (exchange, key string) {
	if at := text(d.Headers[HeaderOriginalExchange]); at != "" {
		return at, text(d.Headers[HeaderOriginalRoutingKey])
	}
	return topology.Events, d.RoutingKey
}
