package rabbitmq

import "time"

// Message is what is published: persistent, mandatory, JSON.
type Message struct {
	Exchange   string
	RoutingKey string
	ID         string // the message id, at most 255 bytes; returns are matched by it, so it may not be empty
	Type       string // the event type
	Headers    map[string]any
	Body       []byte
	Timestamp  time.Time // business time; the broker keeps whole seconds
}

// Delivery is a message as a consumer got it. It can be acknowledged on the consumer that took it and nowhere else.
type Delivery struct {
	Message
	Queue         string
	Redelivered   bool
	DeliveryCount int64 // how often the broker has handed it out before, by x-delivery-count

	tag      uint64
	consumer *Consumer
}

// LogSeq is the event's place in the log, from the header x-log-seq; 0 when it did not come through the log.
func (d Delivery) LogSeq() int64 { return integer(d.Headers[HeaderLogSeq]) }

// Attempt is how many times a worker has tried and put it on its ladder, from the header x-attempt; 0 at first, and
// again when it comes straight from the dead letters.
func (d Delivery) Attempt() int {
	if d.fromDead() {
		return 0
	}
	return int(integer(d.Headers[HeaderAttempt]))
}

// Deferred is how often it has waited on a ladder for a dependency, from the header x-deferred; 0 at first.
func (d Delivery) Deferred() int64 { return max(0, integer(d.Headers[HeaderDeferred])) }
