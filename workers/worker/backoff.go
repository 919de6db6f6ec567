package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/composerp/composerp/exchange/clock"
)

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
