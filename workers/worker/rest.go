package worker

import (
	"context"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

// # A slot that has nothing but waits
//
// A message whose dependency is away leaves for the ladder at once, so that those
// behind it, for others, are tried. When all that a slot took went that way and
// nothing else waits behind, trying on would only turn the ladder round: the slot
// rests, longer each time until something was handled, but no longer than until
// the first of the gates opens. While more waits behind it does not rest, for that
// may be for somebody who is there.

// waits are those of the messages of one take.
type waits struct {
	messages     int
	dependencies []string
	first        time.Duration // until the first gate opens
}

func (w *waits) add(away unavailability) {
	if w.messages == 0 || away.wait < w.first {
		w.first = away.wait
	}
	w.messages++
	if !slices.Contains(w.dependencies, away.dependency) {
		w.dependencies = append(w.dependencies, away.dependency)
	}
}

// rest lets the slot pause when all of the messages it took last have to wait.
func (s *slot) rest(ctx context.Context, consumer *rabbitmq.Consumer, taken int) {
	had := s.deferred
	s.deferred = waits{}
	if had.messages < taken {
		s.resting = newBackoff()
		return
	}
	if consumer.Waiting() > 0 {
		return
	}
	pause := min(s.resting.pause(), max(firstWait, had.first)) // a gate whose probe is under way may open at any moment
	s.Log.Warn("all that was taken waits for dependencies; pausing", "messages", taken, "dependencies", had.dependencies, "pause", pause)
	s.pause(ctx, pause)
}

// pause sleeps, and is seen to. It reports whether ctx is still alive.
func (s *slot) pause(ctx context.Context, pause time.Duration) bool {
	paused := s.Metrics.paused.WithLabelValues(s.Worker.name)
	paused.Inc()
	defer paused.Dec()
	return sleep(ctx, pause)
}
