package worker

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/inbox"
)

// prepareAll prepares the calls of several messages in one transaction, and gives
// those whose call is still to be made. The others are done: their events were
// handled before, stand in the batch twice, or need no call. Messages of one
// aggregate keep their order; aggregates are taken in the order of their ids, so
// that two slots wait for each other instead of deadlocking.
func (p processor) prepareAll(ctx context.Context, messages []message) (left []message, done outcome, err error) {
	messages, err = p.unhandled(ctx, messages)
	if err != nil {
		return nil, outcome{}, err
	}
	slices.SortStableFunc(messages, compareAggregates)
	done, err = p.inTx(ctx, event.Envelope{}, func(tx *Tx) (int, error) {
		left = nil
		if err := p.admitInTime(ctx, tx, eventsOf(messages)); err != nil {
			return 0, err
		}
		var needless []uuid.UUID
		for _, part := range p.parts(messages) {
			events := eventsOf(part)
			tx.cause = events[0].Envelope
			prepared, err := prepareIn(ctx, tx, p.worker.onCall[events[0].Type], events...)
			if err != nil {
				return 0, err
			}
			for i, m := range part {
				if prepared[i] == (noCall{}) {
					needless, tx.claimed = append(needless, m.event.ID), append(tx.claimed, m)
					continue
				}
				m.prepared, m.isPrepared = prepared[i], true
				left = append(left, m)
			}
		}
		if len(needless) == 0 {
			return 0, nil
		}
		_, err := inbox.Claim(ctx, tx, p.consumer, needless)
		return len(needless), err
	})
	return left, done, err
}

func compareAggregates(a, b message) int {
	return cmp.Or(cmp.Compare(a.event.TenantID, b.event.TenantID), cmp.Compare(a.event.AggregateID, b.event.AggregateID))
}

// parts divides sorted messages into those that are prepared at once: one each, or the first of every aggregate, then
// the second, and so on.
func (p processor) parts(messages []message) (parts [][]message) {
	if len(messages) > 0 && !p.worker.onCall[messages[0].event.Type].together {
		return slices.Collect(slices.Chunk(messages, 1))
	}
	n := 0 // of the aggregate
	for i, m := range messages {
		if n++; i > 0 && compareAggregates(messages[i-1], m) != 0 {
			n = 1
		}
		if n > len(parts) {
			parts = append(parts, nil)
		}
		parts[n-1] = append(parts[n-1], m)
	}
	return parts
}

func eventsOf(messages []message) []event.Any {
	events := make([]event.Any, len(messages))
	for i, m := range messages {
		events[i] = m.event
	}
	return events
}

// unhandled gives the messages whose event the inbox does not have, each event once.
func (p processor) unhandled(ctx context.Context, messages []message) ([]message, error) {
	ids := make([]uuid.UUID, len(messages))
	for i, m := range messages {
		ids[i] = m.event.ID
	}
	handled, err := inbox.HandledAmong(ctx, p.db, p.consumer, ids)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(messages), func(m message) bool {
		known := handled[m.event.ID]
		handled[m.event.ID] = true
		return known
	}), nil
}
