package demo

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// Activity is what happens in a part of a day.
type Activity struct {
	// Logged are published through the log, Direct straight over AMQP.
	Logged, Direct []event.Any
	// Wanted are the pieces that customers asked for, Lost those of them that were not in stock.
	Wanted, Lost int64
	// Notes are short lines for the display.
	Notes []string
}

func (a *Activity) add(e event.Any) { a.Logged = append(a.Logged, e) }

// slice gives the i-th of n parts, in the order of the events.
func (a *Activity) slice(i, n int) Activity {
	cut := func(events []event.Any) []event.Any {
		return events[len(events)*i/n : len(events)*(i+1)/n]
	}
	part := Activity{Logged: cut(a.Logged), Direct: cut(a.Direct)}
	part.Wanted, part.Lost = a.Wanted*int64(i+1)/int64(n)-a.Wanted*int64(i)/int64(n), a.Lost*int64(i+1)/int64(n)-a.Lost*int64(i)/int64(n)
	part.Notes = a.Notes[len(a.Notes)*i/n : len(a.Notes)*(i+1)/n]
	return part
}

// id is the id of the event with a key.
func (p *producer) id(number string) uuid.UUID {
	return uuid.NewSHA1(idSpace, []byte(p.space+"\x00"+number))
}

func (a *Activity) note(format string, args ...any) {
	a.Notes = append(a.Notes, fmt.Sprintf(format, args...))
}

// producer encodes the events of a scenario. Their ids follow from the scenario and the business object's number, so
// that the fleet recognises the same event published again. The first error is kept: it is a mistake in this package.
type producer struct {
	tenant, space string
	err           error
}

var idSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/demo"))

func (p *producer) encode(when time.Time, source, number string, payload event.Payload) event.Any {
	return p.encodeKeyed(when, source, number, number, payload)
}

// encodeKeyed is encode for a number that does not identify the business object by itself; key does.
func (p *producer) encodeKeyed(when time.Time, source, number, key string, payload event.Payload) event.Any {
	e, err := event.Encode(event.Envelope{
		ID: p.id(key), TenantID: p.tenant, AggregateID: number, Timestamp: when,
		Metadata: event.Metadata{Source: source},
	}, payload)
	p.keepError(err)
	return e
}

func (p *producer) keepError(err error) {
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("making an event of the demo: %w", err)
	}
}
