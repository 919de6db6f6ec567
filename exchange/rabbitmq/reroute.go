package rabbitmq

import (
	"github.com/composerp/composerp/exchange/topology"
)

// AgainMessage is d as it was first published, to be published once more: for what lies in composerp.unrouted since no
// queue was bound for it. Publish it, wait for the confirmation, then acknowledge d.
func RerouteMessage(d Delivery) Message {
	m := d.Message
	m.Exchange, m.RoutingKey = firstPublished(d)
	m.ID = messageID(m)
	m.Headers = carriedHeaders(d.Headers)
	return m
}

// origin is where d was first published, and how. Who moves a message by hand publishes it under its queue's name.
func firstPublished(d Delivery) (exchange, key string) {
	if at := text(d.Headers[HeaderOriginalExchange]); at != "" {
		return at, text(d.Headers[HeaderOriginalRoutingKey])
	}
	return topology.Events, d.RoutingKey
}
