package chaos

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// speaker says everything on both roads, each in order and at its time, and says it again until it was heard. It is somebody outside: it
// goes to the servers themselves, and has nothing to do with the fleet's networks.
type publisher struct {
	db         *store.DB
	external   external.Publisher
	rate       int // sayings a second
	addFinding func(problem string)

	confirmed atomic.Int64 // heard for certain
	repeated  atomic.Int64 // said once more, because nobody knew whether it was heard
}

const (
	maxBatch       = 50                     // how many are said at once at most
	attemptTimeout = 5 * time.Second        // how long it is waited for an answer
	retryPause     = 100 * time.Millisecond // before something is said again
)

// run says everything and returns when all of it was heard.
func (s *publisher) run(ctx context.Context, sayings []Publication) error {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for road, say := range map[Route]func(context.Context, []Publication) error{RouteLog: s.admit, RouteAMQP: s.publish} {
		var mine []Publication
		var due []time.Duration
		for i, saying := range sayings {
			if saying.Route == road {
				mine, due = append(mine, saying), append(due, time.Duration(i)*time.Second/time.Duration(s.rate))
			}
		}
		g.Go(func() error { return s.publishDue(ctx, began, mine, due, say) })
	}
	err := g.Wait()
	s.external.Close()
	return err
}

// walk says what is due, over and over.
func (s *publisher) publishDue(ctx context.Context, began time.Time, mine []Publication, due []time.Duration, say func(context.Context, []Publication) error) error {
	for at := 0; at < len(mine); {
		if !sleep(ctx, max(time.Until(began.Add(due[at])), 20*time.Millisecond)) {
			return ctx.Err()
		}
		end := at + 1
		for end < len(mine) && end-at < maxBatch && time.Since(began) >= due[end] {
			end++
		}
		for {
			attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
			err := say(attempt, mine[at:end])
			cancel()
			if err == nil {
				break
			}
			s.repeated.Add(int64(end - at))
			if !sleep(ctx, retryPause) {
				return fmt.Errorf("saying what is due on the road %s: %w", mine[at].Route, err)
			}
		}
		s.confirmed.Add(int64(end - at))
		at = end
	}
	return nil
}

// log admits them. What is altered has to be refused, and nothing else may be.
func (s *publisher) admit(ctx context.Context, sayings []Publication) error {
	events := make([]event.Any, len(sayings))
	for i := range sayings {
		events[i] = sayings[i].Event
	}
	verdicts, err := eventlog.AdmitOnce(ctx, s.db, events, true)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		if refused := v == eventlog.Conflict; refused != (sayings[i].Kind == Altered) {
			s.addFinding(fmt.Sprintf("%s event %s is %s", sayings[i].Kind, events[i].ID, v))
		}
	}
	return nil
}

// publish publishes them straight over AMQP and waits for the confirms.
func (s *publisher) publish(ctx context.Context, sayings []Publication) error {
	messages := make([]rabbitmq.Message, len(sayings))
	for i, saying := range sayings {
		messages[i] = messageOf(saying)
	}
	return s.external.Publish(ctx, messages...)
}

// strayKey is the routing key of messages that are no events: that of a sale, so that those who hear sales get them.
var invalidKey = event.TypeSaleCompleted.RoutingKey()

func messageOf(s Publication) rabbitmq.Message {
	m := external.Message(s.Event)
	if s.Kind == Invalid {
		m.RoutingKey, m.Type = invalidKey, string(event.TypeSaleCompleted)
	}
	return m
}

// notes are lines that several goroutines write.
type findings struct {
	mu    sync.Mutex
	lines []string
}

func (n *findings) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *findings) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.lines...)
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
