package delays

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/trace"
)

// Explanation is where the time of an event's deliveries went.
type Explanation struct {
	EventID    uuid.UUID  `json:"eventId"`
	Type       string     `json:"eventType"`
	LoggedAt   *time.Time `json:"loggedAt,omitempty"` // its birth; nil for one of a version before
	External   bool       `json:"external"`           // it came over AMQP, and was logged afterwards
	Deliveries []Delivery `json:"deliveries"`
}

// Delivery is where the time of one delivery went.
type Delivery struct {
	Consumer  string      `json:"consumer"`
	Queue     string      `json:"queue"`
	State     trace.State `json:"state"`
	HandledAt *time.Time  `json:"handledAt,omitempty"` // of a late one; nil: not handled yet, or not kept
	// Seconds is the sum of the stages: from the event's birth until it was handled, or until now.
	Seconds float64 `json:"seconds"`
	// Stages are those that took any time, in their order. Of a delivery that was handled and not kept there is none.
	Stages []Spent     `json:"stages"`
	Widest string      `json:"widest,omitempty"` // the stage that took most
	Tries  []trace.Try `json:"failedTries,omitempty"`
}

// Spent is the time in a stage.
type Spent struct {
	Stage   string  `json:"stage"`
	Seconds float64 `json:"seconds"`
}

// Stages beside those of package exchange/delay.
const (
	// Unmeasured is time that nothing accounts for: the message had no times, because an older version published it, or
	// `republish`, or the watchdog.
	Unmeasured = "unmeasured"
	// Published is all since the relay has published the event that is still on its way.
	Published = "published"
	// Tried is the time until the last attempt of an event that is still on its way failed.
	Tried = "tried"
)

// negligible is what clocks of several hosts may differ by: so much is no stage of its own.
const negligible = 50 * time.Millisecond

var now = pg.SQL(`SELECT clock_timestamp()`)

// Explain tells where the time of an event's deliveries went; nil where the log has no event with this id. progress,
// if set, is called with how many places of the log have been read.
func Explain(ctx context.Context, db *store.DB, id uuid.UUID, progress func(read, all int64)) (*Explanation, error) {
	e, err := trace.Get(ctx, db, id, nil, progress)
	if err != nil || e == nil {
		return nil, err
	}
	late, err := of(ctx, db, id)
	if err != nil {
		return nil, err
	}
	at, err := pg.One[time.Time](ctx, db, "reading the time", now)
	if err != nil {
		return nil, err
	}
	x := &Explanation{EventID: id, Type: e.Type, LoggedAt: e.LoggedAt, External: e.Publisher == trace.External, Deliveries: []Delivery{}}
	for _, d := range e.Deliveries {
		one := Delivery{Consumer: d.Consumer, Queue: topology.QueueName(d.Consumer), State: d.State, Stages: []Spent{}, Tries: d.Tries}
		kept, is := late[d.Consumer]
		switch {
		case is:
			one.HandledAt = &kept.at
			one.add(append(unmeasured(x, kept), kept.stages...)...)
		case d.State != trace.Handled:
			one.add(underWay(x, d, at)...)
		}
		x.Deliveries = append(x.Deliveries, one)
	}
	return x, nil
}

// add takes those of all stages that took any time.
func (d *Delivery) add(stages ...Spent) {
	widest := 0.0
	for _, s := range stages {
		if s.Seconds > 0 {
			d.Stages, d.Seconds = append(d.Stages, s), d.Seconds+s.Seconds
		}
		if s.Seconds > widest {
			widest, d.Widest = s.Seconds, s.Stage
		}
	}
}

// unmeasured is what is missing between the event's birth and the beginning of its stages. An external event was
// published before it was logged.
func unmeasured(x *Explanation, h handled) []Spent {
	if x.LoggedAt == nil || x.External {
		return nil
	}
	missing := h.at.Sub(*x.LoggedAt).Seconds()
	for _, s := range h.stages {
		missing -= s.Seconds
	}
	if missing <= negligible.Seconds() {
		return nil
	}
	return []Spent{{Unmeasured, missing}}
}

// underWay are the stages of a delivery that is not handled yet. Its times are in its message, so that only the last
// one is known, and when that began.
func underWay(x *Explanation, d trace.Delivery, now time.Time) []Spent {
	if x.LoggedAt == nil {
		return nil
	}
	since, stages := *x.LoggedAt, []Spent(nil)
	if n := len(d.Tries); n > 0 {
		since = d.Tries[n-1].FailedAt
		stages = append(stages, Spent{Tried, max(0, since.Sub(*x.LoggedAt).Seconds())})
	}
	stage := Published
	switch d.State {
	case trace.Unpublished, trace.Unpublishable:
		stage = delay.Relay.String()
	case trace.Parked:
		stage = delay.Parked.String()
	case trace.Dead, trace.Discarded, trace.Quarantined:
		stage = delay.DeadLetter.String()
	case trace.Deferred:
		stage = delay.Breaker.String()
	case trace.Retried:
		stage = delay.Retry.String()
	}
	return append(stages, Spent{stage, max(0, now.Sub(since).Seconds())})
}
