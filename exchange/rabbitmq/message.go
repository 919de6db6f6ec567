package rabbitmq

import "time"

// Message is a message to publish: persistent, mandatory, JSON.
type Message struct {
	Exchange   string
	RoutingKey string
	ID         string // the message id, 1 to 255 bytes; returns are matched by it
	Type       string // the event type
	Headers    map[string]any
	Body       []byte
	Timestamp  time.Time // business time; the broker keeps whole seconds

	// OwnUser: the property user_id names the user of this connection; of a delivery, that user or another of the
	// fleet. The broker refuses a publisher any name but its own, so such a delivery was published by this fleet.
	OwnUser bool
	// The properties of an external publisher. UserID is the user that the broker has checked; copies carry it in the
	// header x-user-id.
	UserID, AppID, CorrelationID string
}

// Delivery is a message as a consumer took it. Only that consumer can acknowledge it.
type Delivery struct {
	Message
	Queue         string
	Redelivered   bool
	DeliveryCount int64 // how often the broker has delivered it before, by x-delivery-count
	// Arrived is when it came to this process, by its clock.
	Arrived time.Time

	tag      uint64
	consumer *Consumer
}

// LogSeq is the event's log position, from the header x-log-seq; 0 when it did not come through the log.
func (d Delivery) LogSeq() int64 { return integer(d.Headers[HeaderLogSeq]) }

// FromLog reports whether this fleet published the message from the log: then it did come through it. Of the message of
// another user, and of a copy of such a message, only the log can tell.
func (d Delivery) FromLog() bool { return d.OwnUser && d.UserID == "" && d.LogSeq() > 0 }

// Attempt is how many attempts have failed, from the header x-attempt; 0 at first, and again straight from the dead
// letters.
func (d Delivery) Attempt() int {
	if d.fromDead() {
		return 0
	}
	return int(integer(d.Headers[HeaderAttempt]))
}

// Unreadable is which part of the message cannot be read, and why, from the header x-unreadable; empty when all can.
func (d Delivery) Unreadable() string { return text(d.Headers[HeaderUnreadable]) }

// Deferred is how often it has waited for a dependency, from the header x-deferred.
func (d Delivery) Deferred() int64 { return max(0, integer(d.Headers[HeaderDeferred])) }
