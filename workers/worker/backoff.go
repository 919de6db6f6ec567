package worker

import (
	"context"
	"math/rand/v2"
	"time"
)

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
