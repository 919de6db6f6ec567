package rabbitmq

import (
	"github.com/composerp/composerp/exchange/topology"
)

// RerouteMessage is d as it was first published, to publish again: for messages in composerp.unrouted. Publish it,
// wait for the confirmation, then acknowledge d.
func RerouteMessage(d Delivery) Message {
	m := d.Message
	m.Exchange, m.RoutingKey = firstPublished(d)
	m.ID = messageID(m)
	m.Headers = carriedHeaders(d.Headers)
	return m
}

// firstPublished is where d was first published, and with which key. Messages moved by hand arrive under their queue's
// name.
func firstPublished(d Delivery) (exchange, key string) {
	if at := text(d.Headers[HeaderOriginalExchange]); at != "" {
		return at, text(d.Headers[HeaderOriginalRoutingKey])
	}
	return topology.Events, d.RoutingKey
}
