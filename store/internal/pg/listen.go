package pg

import (
	"context"
	"time"

	"github.com/lib/pq"
)

// How soon a lost listening connection is tried again, at first and after many failures.
const (
	relistenSoon = 50 * time.Millisecond
	relistenLate = 5 * time.Second
)

// Listen hears what is notified on a channel (TickChannel), on a connection of
// its own beside the pool, until ctx is done; then the channel it gives is
// closed.
//
// What is heard is a hint and no more: many notifications may come as one, and
// those sent while the connection was lost do not come at all. So a hint is also
// given each time the connection stands, the first time included, and whoever
// listens polls now and then.
func (db *DB) Listen(ctx context.Context, channel string) <-chan struct{} {
	listener := pq.NewDialListener(keepAliveDialer{}, db.source, relistenSoon, relistenLate, nil)
	hints := make(chan struct{}, 1)
	first := make(chan error, 1)
	// It waits for the connection, however long; closing the listener ends it.
	go func() { first <- listener.Listen(channel) }()
	go func() {
		defer func() {
			close(hints)
			listener.Close()
			for range listener.Notify { // what it is still handing over, so that it can end
			}
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case err := <-first:
				if err != nil {
					continue // nothing will be heard; whoever listens polls
				}
			case _, open := <-listener.Notify: // nil after a reconnection
				if !open {
					return
				}
			}
			select {
			case hints <- struct{}{}:
			default:
			}
		}
	}()
	return hints
}
