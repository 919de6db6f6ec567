package exchange

// AgainMessage is d as it was first published, to be published once more: for what lies in composerp.unrouted since no
// queue was bound for it. Publish it, wait for the confirmation, then acknowledge d.
func AgainMessage(d Delivery) Message {
	m := d.Message
	m.Exchange, m.RoutingKey = origin(d)
	m.ID = identified(m)
	m.Headers = carried(d.Headers)
	return m
}

// origin is where d was first published, and how. Who moves a message by hand publishes it under its queue's name.
func origin(d Delivery) (exchange, key string) {
	if at := text(d.Headers[HeaderOriginalExchange]); at != "" {
		return at, text(d.Headers[HeaderOriginalRoutingKey])
	}
	return Events, d.RoutingKey
}
