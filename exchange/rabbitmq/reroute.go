package rabbitmq

import (
	"github.com/composerp/composerp/exchange/topology"
)

// RerouteMessage is d as it was first published, to publish again: for messages in composerp.unrouted. Publish it,
// wait for the confirmation, then acknowledge d. Messages moved by hand arrive under their queue's name.
func RerouteMessage(d Delivery) Message {
	if at := text(d.Headers[HeaderOriginalExchange]); at != "" {
		return again(d, at, text(d.Headers[HeaderOriginalRoutingKey]))
	}
	return again(d, topology.Events, d.RoutingKey)
}
