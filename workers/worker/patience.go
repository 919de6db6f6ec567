package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/inbox"
)

// Limits of patience. collisionRetries is how often what collided with another
// transaction, or what the server broke off, is done again at once. keepTime is
// how long messages are kept in hand while the database is away: below the
// broker's consumer timeout of 30 minutes.
const (
	collisionRetries = 8
	keepTime         = 20 * time.Minute
	answerTime       = 5 * time.Second
)

// errGivenUp is an error of the database's that is left to the message, for want of anybody else.
var errGivenUp = errors.New("given up")

// keep runs do and tries again for as long as the fault is not the message's:
// it waits for a database that is away, and repeats what collided. A server that
// breaks off this transaction again and again, and serves others, is not away:
// that may be the message's fault after all. What waits for somebody's lock has
// waited for long; whoever asked decides whether its neighbours shall too.
func (s *slot) keep(ctx context.Context, do func() error) error {
	backoff, since, collisions := newBackoff(), time.Now(), 0
	pause, resume := s.pausing()
	defer resume()
	for {
		err := do()
		switch {
		case errors.Is(err, store.ErrLocked):
			return err
		case errors.Is(err, store.ErrRetryable), errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrUnwritable) && s.answers(ctx):
			if collisions++; collisions > collisionRetries {
				return fmt.Errorf("%w after %d tries, while the database serves others (was the transaction left idle for long?): %s", errGivenUp, collisions, err)
			}
			s.Log.Info("a transaction was broken off; doing it again", "error", err)
		case isDatabases(err) && time.Since(since) < keepTime:
			pause()
			s.Log.Warn("the database does not serve; keeping what is in hand", "error", err)
		default:
			return err
		}
		if !backoff.wait(ctx) {
			return err
		}
	}
}

// pausing gives what counts the slot among those that wait for the database, and what ends that.
func (s *slot) pausing() (pause, resume func()) {
	paused := false
	pause = func() {
		if !paused {
			paused = true
			s.Metrics.paused.WithLabelValues(s.Worker.name).Inc()
		}
	}
	resume = func() {
		if paused {
			s.Metrics.paused.WithLabelValues(s.Worker.name).Dec()
		}
	}
	return pause, resume
}

// outwait tries for as long as only somebody's lock stands in the way: one that
// is held for long is no message's fault.
func (s *slot) outwait(ctx context.Context, do func() error) error {
	pause, resume := s.pausing()
	defer resume()
	for backoff, since := newBackoff(), time.Now(); ; {
		err := do()
		if !errors.Is(err, store.ErrLocked) || time.Since(since) > keepTime {
			return err
		}
		pause()
		s.Log.Warn("somebody holds a lock for long; keeping what is in hand", "error", err)
		if !backoff.wait(ctx) {
			return err
		}
	}
}

// answers tells whether the database serves at this moment, by asking the inbox for nothing.
func (s *slot) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := inbox.Handled(ctx, s.DB, s.desk.consumer, uuid.Nil)
	return err == nil
}

// backoff waits longer each time, from 50 ms to 5 s, with full jitter
// (Brooker, "Exponential Backoff and Jitter", AWS 2015).
type backoff struct{ next time.Duration }

const firstWait, longestWait = 50 * time.Millisecond, 5 * time.Second

func newBackoff() *backoff { return &backoff{next: firstWait} }

// wait reports whether ctx is still alive after waiting.
func (b *backoff) wait(ctx context.Context) bool { return sleep(ctx, b.pause()) }

// pause is how long to wait this time.
func (b *backoff) pause() time.Duration {
	pause := b.next/2 + rand.N(b.next)
	b.next = min(2*b.next, longestWait)
	return pause
}

// sleep reports whether ctx is still alive after the pause.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
