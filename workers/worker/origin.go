package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
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
	e.Metadata = e.Metadata.Or(event.Metadata{Source: d.AppID, UserID: d.UserID, CorrelationID: d.CorrelationID, PublishedAt: d.Timestamp})
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
