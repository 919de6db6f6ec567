package rabbitmq

// RenameUser makes the session publish as another user than the broker knows.
func RenameUser(s *Session, user string) { s.publishing.user = user }

// AckOne acknowledges d alone.
func (c *Consumer) AckOne(d Delivery) error { return c.ackOne(d) }

// Requeue returns d to the broker for redelivery. It uses nack: from 4.3 on, reject counts against the delivery limit
// and nack does not.
func (c *Consumer) Requeue(d Delivery) error {
	return c.answer("requeueing", d, func() error { return c.channel.Nack(d.tag, false, true) })
}

// Settling reports whether Cancel waits for the broker to have sent all that it may, or an acknowledgement is written.
func (c *Consumer) Settling() bool {
	if !c.acking.TryLock() {
		return true
	}
	c.acking.Unlock()
	return false
}

// InFlight is how many messages are accepted and not yet confirmed.
func (p *Publisher) InFlight() int { return p.unconfirmed() }
