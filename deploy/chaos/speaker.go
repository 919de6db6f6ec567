package chaos

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/deploy/outsider"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// speaker says everything on both roads, each in order and at its time, and says it again until it was heard. It is somebody outside: it
// goes to the servers themselves, and has nothing to do with the fleet's networks.
type speaker struct {
	db    *store.DB
	line  outsider.Line
	rate  int // sayings a second
	found func(problem string)

	said     atomic.Int64 // heard for certain
	repeated atomic.Int64 // said once more, because nobody knew whether it was heard
}

const (
	mouthful    = 50                     // how many are said at once at most
	hearing     = 5 * time.Second        // how long it is waited for an answer
	sayingPause = 100 * time.Millisecond // before something is said again
)

// run says everything and returns when all of it was heard.
func (s *speaker) run(ctx context.Context, sayings []Saying) error {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for road, say := range map[Road]func(context.Context, []Saying) error{RoadLog: s.log, RoadAMQP: s.publish} {
		var mine []Saying
		var due []time.Duration
		for i, saying := range sayings {
			if saying.Road == road {
				mine, due = append(mine, saying), append(due, time.Duration(i)*time.Second/time.Duration(s.rate))
			}
		}
		g.Go(func() error { return s.walk(ctx, began, mine, due, say) })
	}
	err := g.Wait()
	s.line.HangUp()
	return err
}

// walk says what is due, over and over.
func (s *speaker) walk(ctx context.Context, began time.Time, mine []Saying, due []time.Duration, say func(context.Context, []Saying) error) error {
	for at := 0; at < len(mine); {
		if !sleep(ctx, max(time.Until(began.Add(due[at])), 20*time.Millisecond)) {
			return ctx.Err()
		}
		end := at + 1
		for end < len(mine) && end-at < mouthful && time.Since(began) >= due[end] {
			end++
		}
		for {
			attempt, cancel := context.WithTimeout(ctx, hearing)
			err := say(attempt, mine[at:end])
			cancel()
			if err == nil {
				break
			}
			s.repeated.Add(int64(end - at))
			if !sleep(ctx, sayingPause) {
				return fmt.Errorf("saying what is due on the road %s: %w", mine[at].Road, err)
			}
		}
		s.said.Add(int64(end - at))
		at = end
	}
	return nil
}

// log admits them. What is altered has to be refused, and nothing else may be.
func (s *speaker) log(ctx context.Context, sayings []Saying) error {
	events := make([]event.Any, len(sayings))
	for i := range sayings {
		events[i] = sayings[i].Event
	}
	verdicts, err := eventlog.AdmitOnce(ctx, s.db, events, true)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		if refused := v == eventlog.Conflict; refused != (sayings[i].Sort == Altered) {
			s.found(fmt.Sprintf("%s event %s is %s", sayings[i].Sort, events[i].ID, v))
		}
	}
	return nil
}

// publish publishes them as an outsider does and waits for the confirms.
func (s *speaker) publish(ctx context.Context, sayings []Saying) (err error) {
	defer func() {
		if err != nil {
			s.line.HangUp()
		}
	}()
	publisher, err := s.line.Publisher(ctx)
	if err != nil {
		return err
	}
	// A broker that has stopped answering would otherwise be waited for by the dial alone.
	confirmations := make([]*rabbitmq.Confirmation, len(sayings))
	for i, saying := range sayings {
		if confirmations[i], err = publisher.Publish(ctx, messageOf(saying)); err != nil {
			return err
		}
	}
	for _, c := range confirmations {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// strayKey is the routing key of messages that are no events: that of a sale, so that those who hear sales get them.
var strayKey = event.TypeSaleCompleted.RoutingKey()

func messageOf(s Saying) rabbitmq.Message {
	m := rabbitmq.Message{Exchange: topology.Events, RoutingKey: strayKey, ID: s.Event.ID.String(), Type: string(event.TypeSaleCompleted), Body: s.Event.Body}
	if s.Sort != Stray {
		m.RoutingKey, m.Type, m.Timestamp = s.Event.Type.RoutingKey(), string(s.Event.Type), s.Event.Timestamp
	}
	return m
}

// notes are lines that several goroutines write.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notes) all() []string {
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
