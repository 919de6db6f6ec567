package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/composerp/composerp/exchange/clock"
)

func TestSleep(t *testing.T) {
	for _, c := range []struct {
		name                 string
		sleep, timeout, took time.Duration
		alive                bool
	}{
		{"to its end", time.Minute, time.Hour, time.Minute, true},
		{"until the context ends", time.Hour, time.Minute, time.Minute, false},
		{"not at all", 0, time.Minute, 0, true},
		{"a negative time", -time.Minute, time.Minute, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
				defer cancel()
				began := time.Now()
				if alive, took := clock.Sleep(ctx, c.sleep), time.Since(began); alive != c.alive || took != c.took {
					t.Errorf("Sleep reported %t after %s, want %t after %s", alive, took, c.alive, c.took)
				}
			})
		})
	}
}

func TestSleepAfterTheContextEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // both channels may be ready: the context decides
		if clock.Sleep(ctx, 0) {
			t.Fatal("a context that has ended was reported alive")
		}
	}
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tries, began := 0, time.Now()
		try := func(succeeds int) func() error {
			return func() error {
				if tries++; tries == succeeds {
					return nil
				}
				return errors.New("not yet")
			}
		}
		if err := clock.Retry(ctx, time.Second, try(3)); err != nil || tries != 3 || time.Since(began) != 2*time.Second {
			t.Errorf("Retry returned %v after %d tries and %s", err, tries, time.Since(began))
		}
		if err := clock.Retry(ctx, time.Second, try(-1)); err == nil || time.Since(began) != time.Minute {
			t.Errorf("Retry returned %v after %s", err, time.Since(began))
		}
	})
}
