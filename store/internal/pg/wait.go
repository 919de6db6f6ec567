package pg

import (
	"context"
	"time"
)

// Wait sleeps for d and reports whether ctx is still alive.
func Wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
