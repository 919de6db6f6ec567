package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/parking"
)

// # Failure policy: parking
//
// An event of an ordered worker that fails in a lane holds its aggregate: its later events are parked until it is
// handled, and the lane goes on. Package parking has the invariants, and what a crash leaves.
//
// What holds an aggregate is heeded without lanes too, so that lanes can be switched off while aggregates are held;
// then nothing new is held.

// Ordered declares that the worker wants the events of an aggregate in the order of the log. `composerp lanes set`
// divides its queue into lanes; without lanes its events come in any order.
func Ordered() Option { return func(w *Worker) { w.ordered = true } }

func aggregateOf(e event.Any) parking.Aggregate {
	return parking.Aggregate{Tenant: e.TenantID, ID: e.AggregateID}
}

// park keeps the messages back whose aggregate waits for another event. It gives the others, and the heads among them.
func (p processor) park(ctx context.Context, tx *Tx, messages []message) (free []message, heads []uuid.UUID, err error) {
	if !p.worker.ordered {
		return messages, nil, nil
	}
	aggregates := make([]parking.Aggregate, len(messages))
	for i, m := range messages {
		aggregates[i] = aggregateOf(m.event)
	}
	held, err := parking.Held(ctx, tx, p.worker.name, aggregates)
	if err != nil || len(held) == 0 {
		return messages, nil, err
	}
	var parked []parking.Event
	for i, m := range messages {
		head, is := held[aggregates[i]]
		switch {
		case !is:
			free = append(free, m)
		case head == m.event.ID:
			free, heads = append(free, m), append(heads, head)
		default:
			e, err := parkedOf(m)
			if err != nil {
				return nil, nil, err
			}
			parked = append(parked, e)
		}
	}
	if len(parked) == 0 {
		return free, heads, nil
	}
	return free, heads, parking.Park(ctx, tx, p.worker.name, parked)
}

// hold holds the aggregate of a message that failed, before a copy of it is sent on. It reports whether the message was
// parked instead: another event of its aggregate failed before.
func (s *slot) hold(ctx context.Context, m message) (parked bool, err error) {
	if s.lane == nil || m.event.ID == uuid.Nil {
		return false, nil
	}
	a, value := aggregateOf(m.event), topology.LaneValue(m.event.TenantID, m.event.AggregateID)
	err = s.whileLocked(ctx, func() error {
		return s.whileUnserved(ctx, func() error {
			_, err := s.processor.inTx(ctx, m.event.Envelope, func(tx *Tx) (int, error) {
				head, err := parking.Hold(ctx, tx, s.Worker.name, a, value, m.event.ID)
				if parked = head != m.event.ID; err != nil || !parked {
					return 0, err
				}
				e, err := parkedOf(m)
				if err != nil {
					return 0, err
				}
				return 0, parking.Park(ctx, tx, s.Worker.name, []parking.Event{e})
			})
			return err
		})
	})
	return parked, err
}

// resumeSoon has parked events looked at: the turn of some may have come.
func (s *slot) resumeSoon() {
	if s.lane != nil {
		s.lane.resumes = true
	} else {
		s.due.Store(true)
	}
}

// resumeAtOnce is how many parked events a slot handles before it takes messages again.
const resumeAtOnce = 50

// resume handles parked events of one of the lanes whose turn has come. It reports whether it has handled all.
func (s *slot) resume(ctx context.Context, lane, lanes int) (all bool, err error) {
	for range resumeAtOnce {
		var next *parking.Event
		err := s.whileUnserved(ctx, func() (err error) { next, err = parking.Next(ctx, s.DB, s.Worker.name, lane, lanes); return err })
		if err != nil || next == nil {
			return err == nil, err
		}
		if err := s.resumeOne(ctx, *next); err != nil {
			return false, err
		}
	}
	return false, nil
}

// resumeOne brings a parked event to its outcome, as a message that was taken.
func (s *slot) resumeOne(ctx context.Context, e parking.Event) error {
	d, err := deliveryOf(e)
	if err != nil {
		return err
	}
	s.processor.batch.Begin(time.Now())
	messages, err := s.decode(ctx, []rabbitmq.Delivery{d})
	if err != nil {
		return err
	}
	for i := range messages {
		if err := s.processOne(ctx, messages[i:i+1]); err != nil {
			return err
		}
	}
	return s.whileUnserved(ctx, func() error { return parking.Moved(ctx, s.DB, s.Worker.name, e.EventID) })
}

// properties are what is kept of a parked message beside its body. Of its headers only those are kept that say where it
// came from: no attempt at it has failed.
type properties struct {
	Exchange      string    `json:"exchange"`
	RoutingKey    string    `json:"routingKey"`
	ID            string    `json:"id"`
	Type          string    `json:"type"`
	Timestamp     time.Time `json:"timestamp"`
	OwnUser       bool      `json:"ownUser,omitempty"`
	UserID        string    `json:"userId,omitempty"`
	AppID         string    `json:"appId,omitempty"`
	CorrelationID string    `json:"correlationId,omitempty"`
	LogSeq        int64     `json:"logSeq,omitempty"`
	Times         string    `json:"times,omitempty"` // until its batch began: see package delay
	Replay        int64     `json:"replay,omitempty"`
	Again         bool      `json:"again,omitempty"`
}

func parkedOf(m message) (parking.Event, error) {
	replayed, again := replayOf(m.Delivery)
	kept, err := json.Marshal(properties{m.Exchange, m.RoutingKey, m.ID, m.Type, m.Timestamp.UTC(), m.OwnUser, m.UserID, m.AppID, m.CorrelationID, m.LogSeq(), m.times.String(),
		replayed, again})
	if err != nil {
		return parking.Event{}, fmt.Errorf("parking message %s: %w", m.ID, err)
	}
	return parking.Event{Aggregate: aggregateOf(m.event), EventID: m.event.ID, Message: kept, Body: m.Body}, nil
}

func deliveryOf(e parking.Event) (rabbitmq.Delivery, error) {
	var p properties
	if err := json.Unmarshal(e.Message, &p); err != nil {
		return rabbitmq.Delivery{}, fmt.Errorf("reading the parked event %s: %w", e.EventID, err)
	}
	m := rabbitmq.Message{Exchange: p.Exchange, RoutingKey: p.RoutingKey, ID: p.ID, Type: p.Type, Headers: map[string]any{}, Body: e.Body, Timestamp: p.Timestamp,
		OwnUser: p.OwnUser, UserID: p.UserID, AppID: p.AppID, CorrelationID: p.CorrelationID}
	if p.LogSeq > 0 {
		m.Headers[rabbitmq.HeaderLogSeq] = p.LogSeq
	}
	if p.Replay > 0 {
		m.Headers[rabbitmq.HeaderReplay], m.Headers[rabbitmq.HeaderReplayAgain] = p.Replay, p.Again
	}
	if times, known := delay.Parse(p.Times); known {
		times.Until(delay.Parked, time.Now())
		m.Headers[delay.Header] = times.String()
	}
	return rabbitmq.Delivery{Message: m, Redelivered: true}, nil
}
