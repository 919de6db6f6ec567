// Package notify sends notifications of events, for the workers that do: by the
// configured channels, or by the log when there is none. The table notification
// keeps all of them: text, event, time, channel, and the answer.
//
// # Invariants
//
//   - Without a channel a notification is recorded in the transaction that claims
//     its event, many at once. The log line is a copy and may come twice.
//   - With channels each is called with no transaction open, and its answer is
//     recorded. An event is done when every channel has taken it.
//   - Nothing is sent or recorded about an event that follows from a replay.
//   - A channel that has taken an event is not called for it again because another
//     has failed: each answer is recorded before the failure policies apply, and
//     read before the next attempt.
//   - Calls for one event and channel carry the same key. Only a crash between a
//     call and its record, or a second copy of the event in another slot, repeats a
//     call: the receiver knows it by the key, an Alertmanager by the labels.
//
// # When one of two channels fails
//
//	one is away                  the event waits for that one alone, and keeps its
//	                             attempts; when its circuit was open, that is no
//	                             attempt, and nothing is recorded
//	one fails otherwise          the event is retried for that one alone
//	one refuses (4xx)            a dead letter with its text; the other has taken it
//	one is away, one refuses     the wait first; the refusal comes again, and is the
//	                             outcome once the other one has taken the event
//	a crash after both calls     both are called again, with the same keys
package notify

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
	"github.com/composerp/composerp/workers/worker/again"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// Message is the notification of an event.
type Message struct {
	event.Envelope
	Payload event.Payload
	// Key is the Idempotency-Key of its calls.
	Key string
	// About names the business object, Summary is one sentence.
	About, Summary string
	// Labels distinguish it from others of its kind.
	Labels map[string]string
}

// maxSummary is how many characters a summary has at most: a reason that a person
// gave may be a page long.
const maxSummary = 400

// Channel delivers notifications to one receiver.
type Channel struct {
	// Name is one that the table notification knows.
	Name   string
	Notify func(ctx context.Context, m Message) (webcall.Answer, error)
}

// Notifier sends notifications. Without channels it writes to the log and the table.
type Notifier struct {
	Channels []Channel
	Log      *slog.Logger     // nil: no log
	Breakers *worker.Breakers // of the channels; nil: none
}

// Subject is a type of event that notifications are sent of.
type Subject struct {
	typ       event.Type
	describe  func(e event.Any) Message
	subscribe func(n Notifier) worker.Option
}

// Of makes a subject of an event type; describe makes its message, whose envelope and payload are filled in.
func Of[T event.Payload](describe func(e event.Of[T]) Message) Subject {
	message := func(e event.Of[T]) Message {
		m := describe(e)
		m.Envelope, m.Payload, m.Summary = e.Envelope, e.Payload, webcall.OneLine(m.Summary, maxSummary)
		return m
	}
	var zero T
	return Subject{
		typ: zero.EventType(),
		describe: func(e event.Any) Message {
			of, _ := event.As[T](e) // it is subscribed to for this type
			return message(of)
		},
		subscribe: func(n Notifier) worker.Option {
			return worker.OnPreparedCall(
				func(ctx context.Context, tx *worker.Tx, e event.Of[T]) ([]string, error) {
					return n.pending(ctx, tx, e.ID)
				},
				func(ctx context.Context, e event.Of[T], pending []string) (worker.Record, error) {
					return n.notify(ctx, message(e), pending)
				})
		},
	}
}

// linger is how long several notifications wait for more to be recorded with them.
const linger = 100 * time.Millisecond

// Subscribe gives the options of a worker that sends notifications of the subjects.
func (n Notifier) Subscribe(subjects ...Subject) []worker.Option {
	options := []worker.Option{worker.Linger(linger), worker.WithBreakers(n.Breakers), again.Harmless()}
	describe, types := map[event.Type]func(event.Any) Message{}, []event.Type{}
	for _, s := range subjects {
		options, types = append(options, s.subscribe(n)), append(types, s.typ)
		describe[s.typ] = s.describe
	}
	if len(n.Channels) > 0 {
		return options
	}
	return []worker.Option{worker.OnBatch(func(ctx context.Context, tx *worker.Tx, events []event.Any) error {
		records := make([]notifications.Notification, 0, len(events))
		events = slices.DeleteFunc(slices.Clone(events), func(e event.Any) bool { return e.Metadata.Replay > 0 })
		for _, e := range events {
			records = append(records, describe[e.Type](e).record("log", true, "no channel is configured"))
		}
		n.log(events, records)
		return notifications.Record(ctx, tx, records)
	}, types...), worker.Linger(linger), again.Harmless()}
}

func (n Notifier) log(events []event.Any, records []notifications.Notification) {
	if n.Log == nil {
		return
	}
	for i, r := range records {
		n.Log.Info("notification", "summary", r.Summary, "tenant", r.Tenant, "type", r.Type, "event", r.EventID, "trace", events[i].Metadata.TraceID())
	}
}

func (n Notifier) pending(ctx context.Context, tx *worker.Tx, event uuid.UUID) ([]string, error) {
	var all []string
	for _, c := range n.Channels {
		all = append(all, c.Name)
	}
	missing, err := notifications.PendingChannels(ctx, tx, event, all)
	if err == nil && len(missing) == 0 {
		err = worker.ErrNoCall
	}
	return missing, err
}

// notify calls each of the pending channels. A final failure is the outcome only
// when no failure is left that a retry may help.
func (n Notifier) notify(ctx context.Context, m Message, pending []string) (worker.Record, error) {
	var records []notifications.Notification
	var passing, final []error
	for _, c := range n.Channels {
		if !slices.Contains(pending, c.Name) {
			continue
		}
		answer, err := c.Notify(ctx, m)
		if err == nil {
			records = append(records, m.record(c.Name, true, fmt.Sprint(answer.Status)))
			continue
		}
		if !errors.Is(err, worker.ErrCircuitOpen) {
			records = append(records, m.record(c.Name, false, err.Error()))
		}
		err = fmt.Errorf("notifying the %s: %w", c.Name, err)
		if errors.Is(err, worker.ErrRejected) {
			final = append(final, err)
		} else {
			passing = append(passing, err)
		}
	}
	record := func(ctx context.Context, tx *worker.Tx) error { return notifications.Record(ctx, tx, records) }
	if len(passing) > 0 {
		return record, errors.Join(passing...)
	}
	return record, errors.Join(final...)
}

func (m Message) record(channel string, delivered bool, answer string) notifications.Notification {
	return notifications.Notification{
		EventID: m.ID, Tenant: m.TenantID, Type: string(m.Type), About: m.About, Summary: m.Summary, OccurredAt: m.Timestamp,
		Channel: channel, Delivered: delivered, Answer: answer,
	}
}
