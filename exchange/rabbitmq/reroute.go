package rabbitmq

import (
	"time"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/topology"
)

// RerouteMessage is d as it was first published, to publish again: for messages in composerp.unrouted. Publish it,
// wait for the confirmation, then acknowledge d. Messages moved by hand arrive under their queue's name.
func RerouteMessage(d Delivery) Message {
	exchange, key := topology.Events, d.RoutingKey
	if at := text(d.Headers[HeaderOriginalExchange]); at != "" {
		exchange, key = at, text(d.Headers[HeaderOriginalRoutingKey])
	}
	m := again(d, exchange, key)
	if times, known := delay.Parse(m.Headers[delay.Header]); known {
		times.Until(delay.Republish, time.Now())
		m.Headers[delay.Header] = times.String()
	}
	return m
}
