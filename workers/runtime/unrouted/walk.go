package unrouted

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

const (
	// maxPasses bounds how often an operation goes through the queue when the broker forgets acknowledgements.
	maxPasses = 5
	// window is how many messages are examined, and published, at once.
	window = 1024
)

// act does something about messages and tells how many of them it has acknowledged; the others stay.
type act func(ctx context.Context, browser *rabbitmq.QueueBrowser, taken []rabbitmq.Delivery) (acknowledged int, err error)

// errEnough ends a pass before the end of the queue.
var errEnough = errors.New("enough")

// pass browses the queue once, and tells whether there is reason to do it again: acknowledged messages came back.
func pass(ctx context.Context, session *rabbitmq.Session, tag string, do act) (more bool, absent int, err error) {
	browser, err := session.Browse(topology.Unrouted, tag)
	if err != nil {
		return false, 0, err
	}
	acknowledged := 0
	for err == nil {
		var taken []rabbitmq.Delivery
		if taken, err = browser.Take(ctx, window); err == nil {
			var n int
			n, err = do(ctx, browser, taken)
			acknowledged += n
			browser.Keep(len(taken) - n)
		}
	}
	if errors.Is(err, rabbitmq.ErrDrained) {
		absent = browser.Left()
	}
	returned, closing := browser.Close()
	if !errors.Is(err, rabbitmq.ErrDrained) && !errors.Is(err, errEnough) {
		return false, absent, fmt.Errorf("going through %s: %w", topology.Unrouted, err)
	}
	return acknowledged > 0 && returned > 0, absent, closing
}

// passes browses the queue until acknowledged messages stay away, a few times at most.
func passes(ctx context.Context, session *rabbitmq.Session, tag string, do act) (absent int, err error) {
	for n := range maxPasses {
		more, absent, err := pass(ctx, session, fmt.Sprintf("%s.%d", tag, n), do)
		if err != nil || !more {
			return absent, err
		}
	}
	return 0, nil
}

// Read calls see with each message, the oldest first, until it returns false, and leaves all in the queue. absent is
// how many messages another consumer holds.
func Read(ctx context.Context, session *rabbitmq.Session, tag string, routes Routes, see func(Letter) (more bool, err error)) (absent int, err error) {
	_, absent, err = pass(ctx, session, tag, func(_ context.Context, _ *rabbitmq.QueueBrowser, taken []rabbitmq.Delivery) (int, error) {
		for _, d := range taken {
			more, err := see(routes.letterOf(d))
			if err == nil && !more {
				err = errEnough
			}
			if err != nil {
				return 0, err
			}
		}
		return 0, nil
	})
	return absent, err
}

// Discard exports the messages that choose picks, a line of JSON each, and deletes them once the export is on disk.
func Discard(ctx context.Context, session *rabbitmq.Session, tag string, routes Routes, choose func(Letter) bool, export interface {
	io.Writer
	Sync() error
}) (report deadletters.DiscardReport, err error) {
	report.Queue = topology.Unrouted
	gone, seen := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	report.Absent, err = passes(ctx, session, tag, func(_ context.Context, browser *rabbitmq.QueueBrowser, taken []rabbitmq.Delivery) (n int, err error) {
		var chosen []Letter
		for _, d := range taken {
			l := routes.letterOf(d)
			if seen[l.ID] = true; gone[l.ID] || choose(l) {
				chosen = append(chosen, l)
			}
		}
		for _, l := range chosen {
			if !gone[l.ID] {
				if err := deadletters.WriteLine(export, l); err != nil {
					return 0, err
				}
			}
		}
		if err := export.Sync(); err != nil {
			return 0, fmt.Errorf("exporting %d unrouted messages: %w", len(chosen), err)
		}
		for _, l := range chosen {
			gone[l.ID] = true
			if err := browser.Ack(l.delivery); err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	})
	report.Seen, report.Discarded = len(seen), len(gone)
	return report, err
}
