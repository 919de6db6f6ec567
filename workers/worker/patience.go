package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/composerp/composerp/store"
)

// Limits of patience. collisionRetries is how often what collided with another
// transaction is done again at once. keepTime is how long messages are kept in
// hand while the database is away: below the broker's consumer timeout of 30 minutes.
const (
	collisionRetries = 8
	keepTime         = 20 * time.Minute
)

// keep runs do and tries again for as long as the fault is not the message's:
// it waits for a database that is away, and repeats what collided.
func (s *slot) keep(ctx context.Context, do func() error) error {
	backoff, since, collisions := newBackoff(), time.Now(), 0
	paused := false
	defer func() {
		if paused {
			s.Metrics.paused.WithLabelValues(s.Worker.name).Dec()
		}
	}()
	for {
		err := do()
		switch {
		case errors.Is(err, store.ErrRetryable) && collisions < collisionRetries:
			collisions++
		case isDatabases(err) && time.Since(since) < keepTime:
			if !paused {
				paused = true
				s.Metrics.paused.WithLabelValues(s.Worker.name).Inc()
			}
			s.Log.Warn("the database does not serve; keeping what is in hand", "error", err)
		default:
			return err
		}
		if !backoff.wait(ctx) {
			return err
		}
	}
}

// backoff waits longer each time, from 50 ms to 5 s, with full jitter
// (Brooker, "Exponential Backoff and Jitter", AWS 2015).
type backoff struct{ next time.Duration }

const firstWait, longestWait = 50 * time.Millisecond, 5 * time.Second

func newBackoff() *backoff { return &backoff{next: firstWait} }

// wait reports whether ctx is still alive after waiting.
func (b *backoff) wait(ctx context.Context) bool {
	timer := time.NewTimer(b.next/2 + rand.N(b.next))
	defer timer.Stop()
	b.next = min(2*b.next, longestWait)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
