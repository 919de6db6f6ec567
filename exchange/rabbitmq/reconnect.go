package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/composerp/composerp/exchange/clock"
)

// KeepConnected calls run with one session after another until ctx is done or run returns nil on a living session.
//
// The context given to run ends with its session; run must then release what it holds and return. When ctx itself
// ends, the session lives until run returns, so that deliveries in hand can be finished and acknowledged. An error
// from run ends its session too, and the next one begins after a jittered backoff, at the next host.
//
// Before the first session, errors that no retry cures are returned at once: ErrBadURL, ErrBadCertificate,
// ErrAccessRefused, ErrVhostMissing and ErrTooOld; an ErrAccessRefused that the broker has not said, at the second time
// in a row. Later they are retried like the rest: a password may be changing just now.
func KeepConnected(ctx context.Context, config Config, run func(ctx context.Context, s *Session) error) error {
	config = config.withDefaults()
	if len(config.URLs) == 0 {
		return fmt.Errorf("keeping a session: no URL given: %w", ErrBadURL)
	}
	pause, losses, dropped := config.Backoff, clock.Seldom{}, false
	for attempt, begun := 0, false; ; attempt++ {
		config = config.now() // secrets may be others by now
		session, err := openAt(ctx, config, config.URLs[attempt%len(config.URLs)])
		if err == nil {
			begun = true
			started := time.Now()
			config.Log.Info("broker session began", "broker", session.publishing.url)
			var over bool
			if over, err = runOn(ctx, session, run); over {
				return err
			}
			if time.Since(started) > config.MaxBackoff {
				pause = config.Backoff
				losses.Reset()
			}
		} else if !begun && ctx.Err() == nil && isPermanent(err) {
			if !errors.Is(err, errAssumed) || dropped {
				return err
			}
			dropped = true
		} else {
			dropped = false
		}
		if ctx.Err() != nil {
			return nil
		}
		// Every process of a fleet loses its session at the same moment: jitter keeps them from returning together.
		wait := pause/2 + rand.N(pause)
		switch due := losses.Due(); {
		case due && session == nil:
			config.Log.Warn("no broker session yet; trying again", "error", err, "in", wait)
		case due:
			config.Log.Warn("broker session lost; reconnecting", "error", err, "in", wait)
		}
		if !clock.Sleep(ctx, wait) {
			return nil
		}
		pause = min(2*pause, config.MaxBackoff)
	}
}

// runOn calls run with one session and closes it. over means that no other session follows.
func runOn(ctx context.Context, session *Session, run func(ctx context.Context, s *Session) error) (over bool, err error) {
	within, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-session.Done():
			cancel(session.Err())
		case <-within.Done():
		}
	}()
	err = run(within, session)
	cancel(nil)
	lost := session.Err()
	_ = session.Close()
	switch {
	case ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err()) || errors.Is(err, ErrSessionLost)):
		return true, nil
	case ctx.Err() != nil:
		return true, err
	case lost != nil && err == nil:
		return false, lost
	default:
		return err == nil, err
	}
}

func isPermanent(err error) bool {
	return errors.Is(err, ErrBadURL) || errors.Is(err, ErrBadCertificate) || errors.Is(err, ErrAccessRefused) || errors.Is(err, ErrVhostMissing) || errors.Is(err, ErrTooOld)
}
