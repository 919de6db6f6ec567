package page

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/store/trace"
	"github.com/composerp/composerp/workers/worker/timing"
)

// times are what is kept of when deliveries were handled: that of a late one exactly. What is not late was handled
// within timing.LateAfter of its event.
type times struct {
	late map[uuid.UUID]map[string]delays.Newly // of the events that were asked for
	now  time.Time
}

// readTimes reads the times of the first events of a story.
func readTimes(ctx context.Context, p *Page, list []trace.Event) (t times, err error) {
	t.now = time.Now()
	since, ids := t.now, []uuid.UUID(nil)
	for i := range list[:min(len(list), mostTimed)] {
		if e := &list[i]; e.LoggedAt != nil {
			ids = append(ids, e.ID)
			if e.LoggedAt.Before(since) {
				since = *e.LoggedAt
			}
		}
	}
	if len(ids) == 0 {
		return t, nil
	}
	// An external event may be handled before it is logged.
	t.late, err = delays.LateOf(ctx, p.cfg.DB, ids, since.Add(-time.Hour))
	return t, err
}

// of says when a delivery was handled and how long that took, or since when it is where it is; "" where that is
// not known.
func (t times) of(e *trace.Event, d trace.Delivery) string {
	if e.LoggedAt == nil {
		return ""
	}
	if d.State != trace.Handled {
		since := *e.LoggedAt
		if n := len(d.Tries); n > 0 {
			since = d.Tries[n-1].FailedAt
		}
		return "since " + terminal.Moment(since) + ", for " + wording.Span(t.now.Sub(since))
	}
	late, asked := t.late[e.ID]
	if !asked || t.now.Sub(*e.LoggedAt) > delays.Life {
		return ""
	}
	kept, is := late[d.Consumer]
	if !is {
		return "within " + wording.Span(timing.LateAfter)
	}
	after := kept.Seconds
	if e.Publisher != trace.External {
		after = kept.HandledAt.Sub(*e.LoggedAt).Seconds()
	}
	return fmt.Sprintf("%s, after %s, mostly %s", terminal.Moment(kept.HandledAt), wording.Seconds(after), kept.Widest)
}

// attempt is how often a handled delivery was tried; "" for the first time.
func (s stop) Attempt() string {
	if n := s.Earlier + len(s.Tries); n > 0 && s.State == trace.Handled {
		return fmt.Sprintf("at attempt %d", s.Tries[len(s.Tries)-1].Attempt+1)
	}
	return ""
}
