package pg

import (
	"context"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/clock"
)

// Delay before a lost listening connection is tried again: the first, and the longest.
const (
	relistenMin = 50 * time.Millisecond
	relistenMax = 5 * time.Second
)

// Listen listens on a channel (eventlog.TickChannel), on a connection of its own beside the pool. It closes the
// returned channel when ctx is done.
//
// A notification is only a hint: several may arrive as one, and those sent while the connection was lost never arrive.
// Listen therefore also sends a hint on every (re)connection, and callers poll as well.
func (db *DB) Listen(ctx context.Context, channel string) <-chan struct{} {
	hints := make(chan struct{}, 1)
	go func() {
		defer close(hints)
		for ctx.Err() == nil {
			source, _, err := dataSource(db.cfg)
			if err != nil {
				clock.Sleep(ctx, relistenMax)
				continue
			}
			db.listenAt(ctx, source, channel, hints)
		}
	}()
	return hints
}

// listenAt listens by one data source, until ctx is done or the URL leads to another one when it fails.
func (db *DB) listenAt(ctx context.Context, source, channel string, hints chan<- struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listener := pq.NewDialListener(keepAliveDialer{}, source, relistenMin, relistenMax, func(event pq.ListenerEventType, _ error) {
		if event != pq.ListenerEventConnectionAttemptFailed {
			return
		}
		if now, _, err := dataSource(db.cfg); err == nil && now != source {
			cancel()
		}
	})
	first := make(chan error, 1)
	// This waits for the first connection, however long; closing the listener ends it.
	go func() { first <- listener.Listen(channel) }()
	defer func() {
		listener.Close()
		for range listener.Notify { // drain what it still delivers, so that it can end
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-first:
			if err != nil {
				continue // no notifications will arrive; the caller polls
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
}
