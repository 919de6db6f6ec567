// Package clock waits without outliving its context.
package clock

import (
	"context"
	"time"
)

// Sleep waits for d and reports whether ctx is still alive then. It returns false as soon as ctx ends.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// Retry calls try until it succeeds, with a pause after each failure. When ctx ends it returns the last failure.
func Retry(ctx context.Context, pause time.Duration, try func() error) error {
	for {
		if err := try(); err == nil || !Sleep(ctx, pause) {
			return err
		}
	}
}
