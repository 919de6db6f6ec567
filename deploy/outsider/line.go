// Package outsider is somebody who publishes straight over AMQP, as tills do.
package outsider

import (
	"context"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

// Line is a session of an outsider's, opened when it is needed and dropped when it fails. It is for one goroutine.
type Line struct {
	Broker rabbitmq.Config

	session   *rabbitmq.Session
	publisher *rabbitmq.Publisher
}

// Publisher gives the line's publisher, on a new session where there is none.
func (l *Line) Publisher(ctx context.Context) (_ *rabbitmq.Publisher, err error) {
	if l.session != nil {
		return l.publisher, nil
	}
	if l.session, err = rabbitmq.Open(ctx, l.Broker); err != nil {
		return nil, err
	}
	if l.publisher, err = l.session.Publisher(0); err != nil {
		l.HangUp()
		return nil, err
	}
	return l.publisher, nil
}

// HangUp closes the session, if there is one: the next message opens another.
func (l *Line) HangUp() {
	if l.session != nil {
		_ = l.session.Close()
	}
	l.session, l.publisher = nil, nil
}
