// Package pipeline publishes pages of messages with many confirms in flight. Relay, stream, republish and redrive are
// made of it.
//
// Three steps run side by side, so that the window of confirms is never emptied by a read or by what follows a
// confirm: read gives pages, publish hands a page's messages to the publisher, confirm waits for the broker's
// answers.
//
// # Invariants
//
//   - Pages, and the messages of a page, are published and confirmed in the order in which they were read.
//   - A page that was not published to its end is not confirmed, and no page after it.
//   - What was published before publishing failed is still confirmed, so that the caller knows of it.
//
// A crash leaves copies at most: what was published and not confirmed is published again when it is read again.
package pipeline

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

// ahead bounds the pages that are read before they are published, and published before they are confirmed.
const ahead = 2

// Steps are what is done with each page of type P. Read, Publish and Confirm are needed.
type Steps[P any] struct {
	// Read calls give with each page until it has read all or ctx ends; it returns an error of give.
	Read func(ctx context.Context, give func(P) error) error
	// Publish publishes a page (see the function Publish).
	Publish func(ctx context.Context, page P) (InFlight, error)
	// Confirm waits for the broker's answers (see InFlight.Wait).
	Confirm func(ctx context.Context, page P, sent InFlight) error
	// Tick, if set, is called every Every between two calls of Confirm.
	Tick  func(ctx context.Context) error
	Every time.Duration
}

type published[P any] struct {
	page P
	sent InFlight
}

// Run moves pages through the steps until Read returns, and returns the first error of a step.
func (s Steps[P]) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	pages, sent := make(chan P, ahead), make(chan published[P], ahead)
	var failed error // of publishing; read once sent is closed
	g.Go(func() error {
		defer close(pages)
		return s.Read(ctx, func(page P) error { return pass(ctx, pages, page) })
	})
	g.Go(func() error {
		defer close(sent)
		for page := range pages {
			inFlight, err := s.Publish(ctx, page)
			if err == nil {
				err = pass(ctx, sent, published[P]{page, inFlight})
			}
			if err != nil {
				failed = err
				return nil // confirm returns it, after what was published before
			}
		}
		return nil
	})
	g.Go(func() error {
		if err := s.confirm(ctx, sent); err != nil {
			return err
		}
		return failed
	})
	return g.Wait()
}

func pass[T any](ctx context.Context, to chan<- T, value T) error {
	select {
	case to <- value:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s Steps[P]) confirm(ctx context.Context, sent <-chan published[P]) error {
	var due <-chan time.Time
	if s.Tick != nil {
		ticker := time.NewTicker(s.Every)
		defer ticker.Stop()
		due = ticker.C
	}
	for {
		select {
		case p, more := <-sent:
			if !more {
				return nil
			}
			if err := s.Confirm(ctx, p.page, p.sent); err != nil {
				return err
			}
		case <-due:
			if err := s.Tick(ctx); err != nil {
				return err
			}
		}
	}
}

// InFlight are the confirmations of a page's messages, in their order; nil for one that was not published.
type InFlight []*rabbitmq.Confirmation

// ErrLeftOut is what message returns for an item that is not to be published.
var ErrLeftOut = errors.New("left out")

// Publish publishes n messages in order. An item that message answers with ErrLeftOut is passed over, and so is one
// that the broker will never take (rabbitmq.ErrUnpublishable), once refused has returned nil for it; refused may be
// nil, then that is an error too. With an error comes what was published until then.
func Publish(ctx context.Context, to *rabbitmq.Publisher, n int, message func(i int) (rabbitmq.Message, error), refused func(i int, why error) error) (InFlight, error) {
	sent := make(InFlight, 0, n)
	for i := range n {
		m, err := message(i)
		var c *rabbitmq.Confirmation
		if err == nil {
			c, err = to.Publish(ctx, m)
		}
		if refused != nil && errors.Is(err, rabbitmq.ErrUnpublishable) {
			err = refused(i, err)
		}
		if err != nil && !errors.Is(err, ErrLeftOut) {
			return sent, err
		}
		sent = append(sent, c)
	}
	return sent, nil
}

// Wait calls answered with the broker's answer about each message (see rabbitmq.Confirmation.Wait), in order, and
// ends with the first error that answered returns.
func (f InFlight) Wait(ctx context.Context, answered func(i int, err error) error) error {
	for i, c := range f {
		if c == nil {
			continue
		}
		if err := answered(i, c.Wait(ctx)); err != nil {
			return err
		}
	}
	return nil
}
