package relay

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/versions"
)

// # Types with two versions
//
// The stages of store/versions say in which version an event goes to which exchange. The relay holds one set of stages
// at a time. When a stage has changed it stops to read, waits for the confirms of what it has published, moves the
// cursor, and takes over the new stages (versions.Adopt) before it reads on. So a stage that is taken over holds for
// every event that the cursor had not passed, and nothing of the former stage comes later. After a crash in between,
// the next relay publishes what is unconfirmed by the new stages.
//
// What an external publisher sends straight to composerp.events has been there, in the version that it was sent in.
// While its type has two live versions the relay reads such events of the log too, and publishes what the other side
// lacks: the older version to composerp.events.v1, and to composerp.events the version of the stage, where the event
// came in the other one.

// errStage ends reading: a stage has changed.
var errStage = errors.New("the stage of an event type has changed")

// stagePoll is how soon a changed stage is noticed.
const stagePoll = 500 * time.Millisecond

// stages say in which versions types are published that have two.
type stages struct {
	byType   map[event.Type]inVersions
	dual     bool // a type is published on both exchanges
	direct   bool // such a type may come straight over AMQP as well
	revision int64
	changed  atomic.Bool
}

// inVersions are the versions of composerp.events and of composerp.events.v1, "" for none.
type inVersions struct{ first, second string }

func stagesOf(states []versions.State) *stages {
	s := &stages{byType: map[event.Type]inVersions{}, revision: versions.RevisionOf(states)}
	for _, t := range event.Types() {
		state := versions.Of(states, t)
		if first := state.Emits(); first != "" {
			s.byType[t] = inVersions{first, state.Second()}
			s.dual = s.dual || state.Second() != ""
			d, _ := event.Lookup(t)
			s.direct = s.direct || d.Outside && state.Second() != ""
		}
	}
	return s
}

// watch notices when a stage changes. While the database is away the cursor does not move either.
func (r *Relay) watch(ctx context.Context, s *stages) {
	ticker := time.NewTicker(stagePoll)
	defer ticker.Stop()
	for !s.changed.Load() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now, err := versions.Revision(ctx, r.DB); err == nil && now != s.revision {
			s.changed.Store(true)
		}
	}
}

// copyOf is a message of a page: its event, and whether it is the one for composerp.events.v1.
type copyOf struct {
	event  int
	second bool
}

// copies are the messages of some events, in their order: nil where each event has one, which is the usual case.
func (s *stages) copies(events []eventlog.Entry) []copyOf {
	if !s.dual {
		return nil
	}
	all := make([]copyOf, 0, 2*len(events))
	for i := range events {
		e := &events[i]
		in := s.byType[e.Type]
		if !e.Direct || in.second != "" && !event.SameMajor(event.VersionOf(e.Body), in.first) {
			all = append(all, copyOf{event: i})
		}
		if in.second != "" {
			all = append(all, copyOf{i, true})
		}
	}
	return all
}

// readPage reads what there may be to publish.
func (s *stages) readPage(ctx context.Context, db *store.DB, at eventlog.Cursor) (eventlog.Page, error) {
	if s.direct {
		return eventlog.ReadWholePage(ctx, db, at, pageSize)
	}
	return eventlog.ReadPage(ctx, db, at, pageSize)
}

// body is an event's body for one of the exchanges, and the exchange.
func (s *stages) body(e *eventlog.Entry, second bool) (to string, body []byte, err error) {
	in, evolved := s.byType[e.Type]
	if !evolved {
		return topology.Events, e.Body, nil
	}
	to, version := topology.Events, in.first
	if second {
		to, version = topology.EventsV1, in.second
	}
	if event.SameMajor(event.VersionOf(e.Body), version) {
		return to, e.Body, nil
	}
	body, err = event.Convert(e.Body, version)
	return to, body, err
}
