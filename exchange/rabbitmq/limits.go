package rabbitmq

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/wording"
)

const (
	// maxShort is AMQP's limit for names, keys and ids. The library finds a longer one in the middle of a write, which
	// costs the connection.
	maxShort = 255
	// maxHeaders keeps a message's properties well inside one frame (128 KiB), which they must not exceed.
	maxHeaders = 64 << 10
)

// checkLimits refuses, before the first byte, a message that would cost the session.
func (c Config) checkLimits(m Message) error {
	switch {
	case m.ID == "":
		return fmt.Errorf("%w: it has no id", ErrUnpublishable)
	case len(m.ID) > maxShort:
		return fmt.Errorf("%w: its id has %d bytes, at most %d are allowed", ErrUnpublishable, len(m.ID), maxShort)
	case len(m.Exchange) > maxShort:
		return fmt.Errorf("%w: the exchange's name has %d bytes, at most %d are allowed", ErrUnpublishable, len(m.Exchange), maxShort)
	case len(m.RoutingKey) > maxShort:
		return fmt.Errorf("%w: its routing key has %d bytes, at most %d are allowed", ErrUnpublishable, len(m.RoutingKey), maxShort)
	case len(m.Type) > maxShort:
		return fmt.Errorf("%w: its type has %d bytes, at most %d are allowed", ErrUnpublishable, len(m.Type), maxShort)
	case len(m.Body) > c.MaxBody:
		return fmt.Errorf("%w: its body has %d bytes, at most %d are allowed", ErrUnpublishable, len(m.Body), c.MaxBody)
	}
	size := 0
	for name, value := range m.Headers {
		if len(name) > maxShort {
			return fmt.Errorf("%w: a header's name has %d bytes, at most %d are allowed", ErrUnpublishable, len(name), maxShort)
		}
		size += headerSize(name, value)
	}
	if size > maxHeaders {
		return fmt.Errorf("%w: its headers have %d bytes, at most %d are allowed", ErrUnpublishable, size, maxHeaders)
	}
	if err := amqp.Table(m.Headers).Validate(); err != nil {
		return fmt.Errorf("%w: header: %s", ErrUnpublishable, wording.OneLine(err.Error()))
	}
	return nil
}
