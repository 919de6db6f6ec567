package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/lanes"
)

// # Failure policy: database outage
//
// While the database is away a slot keeps its messages in hand and waits: no
// message loses an attempt. A transaction that collided with another, or that the
// server broke off, is done again at once. A server that breaks off one
// transaction again and again, and serves others, is not away: then the message
// may be the cause, and its failure is left to the other policies.

const (
	// collisionRetries is how often a broken-off transaction is done again.
	collisionRetries = 8
	// keepTime is how long messages are kept in hand: below the broker's consumer timeout of 30 minutes.
	keepTime = 20 * time.Minute
	// answerTimeout bounds the question whether the database serves.
	answerTimeout = 5 * time.Second
)

const (
	logBrokenOff = "a transaction was broken off; doing it again"
	logUnserved  = "the database does not serve; keeping messages in hand"
	logLocked    = "another transaction holds a lock for long; keeping messages in hand"
)

// errGivenUp marks an error of the database's that may be the message's fault after all.
var errGivenUp = errors.New("given up")

// notTheMessages tells errors that no message caused: they end the slot, and the broker delivers again.
func notTheMessages(ctx context.Context, err error) bool {
	return ctx.Err() != nil || isOutage(err) || errors.Is(err, lanes.ErrLost)
}

// isOutage tells errors that only a change of the database can end: it is away, or
// it lacks this program's tables or user.
func isOutage(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrSchema) || errors.Is(err, store.ErrAccess)
}

// whileUnserved runs do, and again while only the database is in the way. ErrLocked
// means that lock_timeout has passed; the caller decides whether to split the batch.
func (s *slot) whileUnserved(ctx context.Context, do func() error) error {
	backoff, since, collisions, waits := newBackoff(), time.Now(), 0, clock.Seldom{}
	paused := pausedSlot{slot: s}
	defer paused.end()
	for {
		began := time.Now()
		err := do()
		away := false
		switch {
		case errors.Is(err, store.ErrLocked):
			return err
		case errors.Is(err, store.ErrRetryable), errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrUnwritable) && s.databaseServes(ctx):
			if collisions++; collisions > collisionRetries {
				return fmt.Errorf("%w after %d tries, while the database serves others (was the transaction left idle for long?): %s", errGivenUp, collisions, err)
			}
			s.Log.Info(logBrokenOff, "error", err)
		case isOutage(err) && time.Since(since) < keepTime:
			paused.begin()
			if away = true; waits.Due() {
				s.Log.Warn(logUnserved, "error", err)
			}
		default:
			return err
		}
		if !backoff.wait(ctx) {
			return err
		}
		if away {
			s.processor.batch.Away(time.Since(began))
		}
	}
}

// whileLocked runs do, and again while another transaction's lock is in the way:
// a lock held for long is no message's fault.
func (s *slot) whileLocked(ctx context.Context, do func() error) error {
	paused := pausedSlot{slot: s}
	defer paused.end()
	waits := clock.Seldom{}
	for backoff, since := newBackoff(), time.Now(); ; {
		err := do()
		if !errors.Is(err, store.ErrLocked) || time.Since(since) > keepTime {
			return err
		}
		paused.begin()
		if waits.Due() {
			s.Log.Warn(logLocked, "error", err)
		}
		pausedAt := time.Now()
		if !backoff.wait(ctx) {
			return err
		}
		s.processor.batch.Locked(time.Since(pausedAt))
	}
}

// databaseServes asks the inbox a question whose answer is known.
func (s *slot) databaseServes(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := inbox.Handled(ctx, s.DB, s.processor.consumer, uuid.Nil)
	return err == nil
}

// pausedSlot counts a slot among the paused ones, once, from begin to end.
type pausedSlot struct {
	*slot
	counted bool
}

func (p *pausedSlot) begin() {
	if !p.counted {
		p.counted = true
		p.Metrics.paused.WithLabelValues(p.Worker.name).Inc()
	}
}

func (p *pausedSlot) end() {
	if p.counted {
		p.counted = false
		p.Metrics.paused.WithLabelValues(p.Worker.name).Dec()
	}
}

// pause sleeps as a paused slot, and reports whether ctx is still alive.
func (s *slot) pause(ctx context.Context, pause time.Duration) bool {
	paused := pausedSlot{slot: s}
	paused.begin()
	defer paused.end()
	return clock.Sleep(ctx, pause)
}

// backoff waits longer each time, from 50 ms to 5 s, with full jitter
// (Brooker, "Exponential Backoff and Jitter", AWS 2015).
type backoff struct{ next time.Duration }

const firstBackoff, longestBackoff = 50 * time.Millisecond, 5 * time.Second

func newBackoff() *backoff { return &backoff{next: firstBackoff} }

// wait reports whether ctx is still alive after waiting.
func (b *backoff) wait(ctx context.Context) bool { return clock.Sleep(ctx, b.pause()) }

// pause is how long to wait this time.
func (b *backoff) pause() time.Duration {
	pause := b.next/2 + rand.N(b.next)
	b.next = min(2*b.next, longestBackoff)
	return pause
}
