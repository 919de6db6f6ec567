package demo

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// Said is what the world says in a part of a day.
type Activity struct {
	// Logged go through the log; Direct are published by an outsider's till.
	Logged, Direct []event.Any
	// Wanted are the pieces that customers asked for, Lost those of them that were not there.
	Wanted, Lost int64
	// Happened are short lines for whoever watches.
	Notes []string
}

func (s *Activity) add(e event.Any) { s.Logged = append(s.Logged, e) }

// slice gives the i-th of n pieces, in the order in which it was said.
func (s *Activity) slice(i, n int) Activity {
	cut := func(events []event.Any) []event.Any {
		return events[len(events)*i/n : len(events)*(i+1)/n]
	}
	part := Activity{Logged: cut(s.Logged), Direct: cut(s.Direct)}
	part.Wanted, part.Lost = s.Wanted*int64(i+1)/int64(n)-s.Wanted*int64(i)/int64(n), s.Lost*int64(i+1)/int64(n)-s.Lost*int64(i)/int64(n)
	part.Notes = s.Notes[len(s.Notes)*i/n : len(s.Notes)*(i+1)/n]
	return part
}

// id is the event's that the world says under a number.
func (v *producer) id(number string) uuid.UUID {
	return uuid.NewSHA1(idSpace, []byte(v.space+"\x00"+number))
}

func (s *Activity) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// voice makes the events of a world. Its ids follow from the world and the
// number that the thing has there, so that the same thing said again is known.
// The first error is kept: it is a mistake in this package.
type producer struct {
	tenant, space string
	err           error
}

var idSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/demo"))

func (v *producer) encode(when time.Time, source, number string, payload event.Payload) event.Any {
	return v.encodeKeyed(when, source, number, number, payload)
}

// sayOf is say where the number that people see is not all that tells the thing apart.
func (v *producer) encodeKeyed(when time.Time, source, number, whole string, payload event.Payload) event.Any {
	e, err := event.Encode(event.Envelope{
		ID: v.id(whole), TenantID: v.tenant, AggregateID: number, Timestamp: when,
		Metadata: event.Metadata{Source: source},
	}, payload)
	v.keepError(err)
	return e
}

func (v *producer) keepError(err error) {
	if v.err == nil && err != nil {
		v.err = fmt.Errorf("making an event of the demo: %w", err)
	}
}
