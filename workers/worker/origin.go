package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/replay"
)

// Whether a message came through the log decides what is believed of it: the log
// has checked its event, and intake need not log it. The header x-log-seq claims
// it, and any publisher can set that. So the claim holds if this fleet published
// the message (Delivery.FromLog), or if the log has the same body at that position:
// that asks the database, once a batch, for messages of a relay of the version
// before or with a user of its own. Any other message is an external publisher's:
// it is checked whole, and must be of a type that external publishers may send.

var (
	errRelayed  = errors.New("it has the header x-relayed, which keeps it from being logged, and it is not in the log: publish it without that header")
	errInternal = errors.New("external publishers may not send this type, and it is not in the log")
)

// logged tells which deliveries came through the log.
func (p processor) logged(ctx context.Context, deliveries []rabbitmq.Delivery) ([]bool, error) {
	logged := make([]bool, len(deliveries))
	var claims []eventlog.Claim
	var asked []int
	for i, d := range deliveries {
		switch {
		case d.FromLog():
			logged[i] = true
		case d.LogSeq() > 0 && p.worker.onMessages == nil:
			claims, asked = append(claims, eventlog.Claim{Seq: d.LogSeq(), Body: d.Body}), append(asked, i)
		}
	}
	if len(claims) == 0 {
		return logged, nil
	}
	held, err := eventlog.Contains(ctx, p.db, claims)
	if err != nil {
		return nil, err
	}
	for n, i := range asked {
		logged[i] = held[n]
	}
	return logged, nil
}

// decodeExternal reads the event of an external publisher. The message's properties
// are its metadata where the body has none: what follows from the event carries
// them, and the log keeps the body as it came.
func decodeExternal(d rabbitmq.Delivery) (event.Any, error) {
	e, err := event.DecodeOutside(d.Body)
	if err != nil {
		return event.Any{}, err
	}
	if d.Headers[topology.HeaderRelayed] == true {
		return event.Any{}, errRelayed
	}
	if known, _ := event.Lookup(e.Type); !known.Outside {
		return event.Any{}, fmt.Errorf("%s: %w", e.Type, errInternal)
	}
	e.Metadata.Replay = 0 // no mark: it would keep calls from being made
	traceparent, _ := d.Headers[rabbitmq.HeaderTraceparent].(string)
	e.Metadata = e.Metadata.Or(event.Metadata{
		Source: d.AppID, UserID: d.UserID, CorrelationID: d.CorrelationID, Traceparent: traceparent, PublishedAt: d.Timestamp,
	})
	return e, nil
}

// admit enters the events of external publishers into the log, in the transaction
// that handles them: the first to come, by whatever worker, is the event of its id.
// So all workers agree on it, also where two tenants use one id; the other event is
// rejected, as is one whose business time or currency is refused.
func (p processor) admit(ctx context.Context, tx *Tx, events []event.Any) error {
	var external []event.Any
	for _, e := range events {
		if e.LogSeq == 0 {
			external = append(external, e)
		}
	}
	if len(external) == 0 {
		return nil
	}
	verdicts, err := eventlog.Admit(ctx, tx, external, false)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		if v == eventlog.Conflict {
			return Reject(fmt.Errorf("event %s is in the log already, with another body", external[i].ID))
		}
		if refusal := v.Refusal(external[i]); refusal != nil {
			return Reject(refusal)
		}
	}
	return nil
}

// checkTimes rejects events of the log whose business time is too far ahead: no
// handler moves a calendar by them.
func (p processor) checkTimes(ctx context.Context, tx *Tx, events []event.Any) error {
	err := p.bounds.Check(ctx, tx, events)
	if errors.Is(err, eventlog.ErrBusinessTime) {
		return Reject(err)
	}
	return err
}

// admitInTime is admit and checkTimes.
func (p processor) admitInTime(ctx context.Context, tx *Tx, events []event.Any) error {
	if err := p.admit(ctx, tx, events); err != nil {
		return err
	}
	return p.checkTimes(ctx, tx, events)
}

// accept is admitInTime before a call, in a transaction of its own.
func (p processor) accept(ctx context.Context, e event.Any) error {
	events := []event.Any{e}
	if e.LogSeq != 0 && !p.bounds.MayBeAhead(events) {
		return nil
	}
	_, err := p.inTx(ctx, e.Envelope, func(tx *Tx) (int, error) {
		return 0, p.admitInTime(ctx, tx, events)
	})
	return err
}

// # Events that a replay published
//
// A replay (workers/runtime/replay) publishes events of the log again, marked by the header x-replay. The mark holds
// only for a message that came through the log: no external publisher can silence a worker by it. It becomes the
// event's metadata.replay here, and Derive hands that on to what the handlers emit, so that the whole chain is marked.
//
// Invariants:
//
//   - The inbox decides as for any message, unless the message says again: then the table handled_again does, once for
//     each replay, in the transaction of the effects.
//   - Handled again, an event appends only what the log does not have: its ids are those of the first time.
//   - No call is made about a marked event, nor prepared: it is entered in the inbox, counted and logged as silent.
//   - A message that no replay has published costs a look at one header and a few comparisons, and no round trip.
//
// A crash before the commit leaves nothing; after it, the second delivery finds the rows.

const logSilent = "an event follows from a replay; no call is made about it"

// replayOf is the number of the replay that published a message, 0 for none, and whether its worker handles it again.
func replayOf(d rabbitmq.Delivery) (id int64, again bool) {
	id, _ = d.Headers[rabbitmq.HeaderReplay].(int64)
	return max(0, id), id > 0 && d.Headers[rabbitmq.HeaderReplayAgain] == true
}

// mark gives the event of a message that came through the log the mark of the replay that published it. What an
// external publisher has written of a replay into its event is no mark.
func (m *message) mark() {
	id, again := replayOf(m.Delivery)
	switch {
	case id > 0:
		m.event.Metadata.Replay, m.replayed, m.again = id, true, again
	case m.event.Metadata.Replay != 0:
		if known, _ := event.Lookup(m.event.Type); known.Outside {
			m.event.Metadata.Replay = 0
		}
	}
}

// followsReplay tells whether a replay has published the event, or one that it follows from.
func (m message) followsReplay() bool { return m.event.Metadata.Replay > 0 }

// copiesAgain are the events among messages that are to be handled again.
func copiesAgain(messages []message) (copies []replay.Copy) {
	for i := range messages {
		if messages[i].again {
			e := &messages[i].event
			copies = append(copies, replay.Copy{EventID: e.ID, Seq: e.LogSeq, Replay: e.Metadata.Replay})
		}
	}
	return copies
}

// claimAgain adds to the fresh events those that a replay has the worker handle again.
func (tx *Tx) claimAgain(ctx context.Context, consumer inbox.ConsumerID, fresh map[uuid.UUID]bool) error {
	if len(tx.again) == 0 {
		return nil
	}
	tx.consumer = consumer
	claimed, err := replay.Claim(ctx, tx, consumer, tx.again)
	for id := range claimed {
		fresh[id] = true
	}
	return err
}

// dropEmitted leaves out of what is emitted what the log has from the first time.
func (tx *Tx) dropEmitted(ctx context.Context) error {
	if len(tx.again) == 0 || len(tx.emitted) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(tx.emitted))
	for i := range tx.emitted {
		ids[i] = tx.emitted[i].ID
	}
	known, err := replay.Emitted(ctx, tx, tx.consumer, tx.again, ids)
	if err != nil {
		return err
	}
	kept := make([]event.Any, 0, len(tx.emitted))
	for _, e := range tx.emitted {
		if !known[e.ID] {
			kept = append(kept, e)
		}
	}
	tx.emitted = kept
	return nil
}

// silence is processCall for an event that follows from a replay: it claims the event, and makes no call.
func (p processor) silence(ctx context.Context, m message) (outcome, error) {
	if err := p.accept(ctx, m.event); err != nil {
		return outcome{}, err
	}
	done, err := p.inTx(ctx, m.event.Envelope, func(tx *Tx) (int, error) {
		tx.again = copiesAgain([]message{m})
		fresh, err := inbox.Claim(ctx, tx, p.consumer, []uuid.UUID{m.event.ID})
		if err == nil {
			err = tx.claimAgain(ctx, p.consumer, fresh)
		}
		if err == nil && fresh[m.event.ID] {
			tx.claimed = []message{m}
		}
		return len(tx.claimed), err
	})
	done.silent = done.handled > 0
	return done, err
}
