// Package notice tells people of events, for the workers that do: by the
// channels that are configured, or, where there is none, by the log. The table
// notice keeps all of it: what was said, about what, when, to whom, and what came
// back.
//
// # Invariants
//
//   - Without a channel a notice is written in the transaction that claims its
//     event, many at once. The log line is a copy and may come twice.
//   - With channels each is called with no transaction open, and its answer kept.
//     An event is done when every channel has heard of it.
//   - A channel that has heard is not called again for the event, though another
//     has not: what each answered is kept before the failure is judged, and read
//     before the next try.
//   - Calls for one event and channel carry the same key. Only a crash between a
//     call and its record, or a second copy of the event in another slot, makes
//     one again: who hears it knows it by the key, an Alertmanager by the labels.
//
// # When one of two channels fails
//
//	one is away                  the event waits for that one alone, and keeps its
//	                             attempts; when its gate kept it from being called,
//	                             that is no try, and nothing is written of it
//	one fails otherwise          the event climbs the ladder for that one alone
//	one refuses (4xx)            a dead letter with its words; the other has heard
//	one is away, one refuses     the wait first; the refusal is heard again, and is
//	                             the verdict when the other one has heard
//	a crash after both calls     both are called again, with the same keys
package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/notifications"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// Message is what is said of an event.
type Message struct {
	event.Envelope
	Payload event.Payload
	// Key is the Idempotency-Key of its calls.
	Key string
	// About names the thing that it is about, Summary says it in one sentence.
	About, Summary string
	// Labels tell it from others of its kind.
	Labels map[string]string
}

// maxSummary is how many characters of a summary are said: a reason that a
// person gave may be a page long.
const maxSummary = 400

// Channel is a way to tell somebody.
type Channel struct {
	// Name is one that the table notice knows.
	Name string
	Tell func(ctx context.Context, m Message) (webcall.Answer, error)
}

// Teller tells of events. Without channels it writes to the log and the table.
type Teller struct {
	Channels []Channel
	Log      *slog.Logger  // nil says nothing
	Gates    *worker.Gates // those that the channels' calls go through; nil when there are none
}

// Subject is a type of event that is told of.
type Subject struct {
	typ  event.Type
	say  func(e event.Any) (Message, bool)
	hear func(t Teller) worker.Option
}

// Of makes a subject of an event type; say makes its message, whose envelope and payload are filled in.
func Of[T event.Payload](say func(e event.Of[T]) Message) Subject {
	message := func(e event.Of[T]) Message {
		m := say(e)
		m.Envelope, m.Payload, m.Summary = e.Envelope, e.Payload, webcall.OneLine(m.Summary, maxSummary)
		return m
	}
	var zero T
	return Subject{
		typ: zero.EventType(),
		say: func(e event.Any) (Message, bool) {
			of, ok := event.As[T](e)
			if !ok {
				return Message{}, false
			}
			return message(of), true
		},
		hear: func(t Teller) worker.Option {
			return worker.OnPreparedCall(
				func(ctx context.Context, tx *worker.Tx, e event.Of[T]) ([]string, error) {
					return t.whom(ctx, tx, e.ID)
				},
				func(ctx context.Context, e event.Of[T], whom []string) (worker.Record, error) {
					return t.tell(ctx, message(e), whom)
				})
		},
	}
}

// linger is how long several notices wait for more to be written with them.
const linger = 100 * time.Millisecond

// Hear are the options of a worker that tells of the subjects.
func (t Teller) Hear(subjects ...Subject) []worker.Option {
	options := []worker.Option{worker.Linger(linger), worker.Gated(t.Gates)}
	say, types := map[event.Type]func(event.Any) (Message, bool){}, []event.Type{}
	for _, s := range subjects {
		options, types = append(options, s.hear(t)), append(types, s.typ)
		say[s.typ] = s.say
	}
	if len(t.Channels) > 0 {
		return options
	}
	return []worker.Option{worker.OnBatch(func(ctx context.Context, tx *worker.Tx, events []event.Any) error {
		notices := make([]notifications.Notification, 0, len(events))
		for _, e := range events {
			if m, ok := say[e.Type](e); ok {
				notices = append(notices, m.notice("log", true, "nobody to call is configured"))
			}
		}
		t.write(notices)
		return notifications.Record(ctx, tx, notices)
	}, types...), worker.Linger(linger)}
}

func (t Teller) write(notices []notifications.Notification) {
	if t.Log == nil {
		return
	}
	for _, n := range notices {
		t.Log.Info("notification", "summary", n.Summary, "tenant", n.Tenant, "type", n.Type, "event", n.EventID)
	}
}

func (t Teller) whom(ctx context.Context, tx *worker.Tx, event uuid.UUID) ([]string, error) {
	var all []string
	for _, c := range t.Channels {
		all = append(all, c.Name)
	}
	missing, err := notifications.PendingChannels(ctx, tx, event, all)
	if err == nil && len(missing) == 0 {
		err = worker.ErrNoCall
	}
	return missing, err
}

// tell calls each of the channels. What can not be mended is the verdict only
// when nothing is left that can.
func (t Teller) tell(ctx context.Context, m Message, whom []string) (worker.Record, error) {
	var notices []notifications.Notification
	var passing, final []error
	for _, c := range t.Channels {
		if !slices.Contains(whom, c.Name) {
			continue
		}
		answer, err := c.Tell(ctx, m)
		if err == nil {
			notices = append(notices, m.notice(c.Name, true, fmt.Sprint(answer.Status)))
			continue
		}
		if !errors.Is(err, worker.ErrNotCalled) {
			notices = append(notices, m.notice(c.Name, false, err.Error()))
		}
		err = fmt.Errorf("telling the %s: %w", c.Name, err)
		if errors.Is(err, worker.ErrRejected) {
			final = append(final, err)
		} else {
			passing = append(passing, err)
		}
	}
	record := func(ctx context.Context, tx *worker.Tx) error { return notifications.Record(ctx, tx, notices) }
	if len(passing) > 0 {
		return record, errors.Join(passing...)
	}
	return record, errors.Join(final...)
}

func (m Message) notice(channel string, told bool, answer string) notifications.Notification {
	return notifications.Notification{
		EventID: m.ID, Tenant: m.TenantID, Type: string(m.Type), About: m.About, Summary: m.Summary, OccurredAt: m.Timestamp,
		Channel: channel, Delivered: told, Answer: answer,
	}
}
