package page

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/composerp/composerp/cli/events"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/trace"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

const (
	// mostNamed is how many events that mention what was looked for are taken, mostEvents how many of a story are drawn.
	mostNamed, mostEvents = 20, 200
	// mostLetters is how many dead letters of an id are listed, mostStoryOrders how many orders of a story are looked at.
	mostLetters, mostStoryOrders = 20, 10
	// mostName is how many bytes a name may have: ids have 64 at most.
	mostName = 200
	// mostTries is how many of the last failed tries of a delivery are shown.
	mostTries = 5
	// mostTimed is of how many events of a story the times are read.
	mostTimed = 50
)

// story is what is known of a name.
type story struct {
	Name    string // what was looked for; "" before
	Roots   []*chapter
	Events  int  // of the story
	Cut     int  // of them, not drawn
	More    bool // older events mention the name
	Open    []open
	Orders  []purchasing.PurchaseOrder
	Letters []deadletters.Entry // where the log has nothing
}

// chapter is an event of a story, with what follows from it.
type chapter struct {
	*trace.Event
	Stops   []stop
	Follows []*chapter
	Text    string // the body
	TextCut bool
}

// stop is a delivery, with the last of its failed tries.
type stop struct {
	trace.Delivery
	Earlier int // tries that are not shown
	Next    string
	When    string // when it was handled and how long that took, or since when it is where it is; "": not known
}

// Done reports whether nothing more is to happen by itself.
func (s stop) Done() bool { return s.State == trace.Handled || s.State == trace.Discarded }

// Bad reports whether it needs an operator.
func (s stop) Bad() bool {
	return s.State == trace.Dead || s.State == trace.Quarantined || s.State == trace.Unpublishable
}

// open is a delivery that has not been handled.
type open struct {
	Event *trace.Event
	stop
	Why string
}

func readStory(ctx context.Context, p *Page, q question) (any, error) {
	s := &story{Name: strings.TrimSpace(q.values.Get("q"))}
	if s.Name == "" || len(s.Name) > mostName {
		return s, nil
	}
	found, err := trace.Find(ctx, p.cfg.DB, trace.Query{Name: s.Name, Tenant: q.tenant, Limit: mostNamed})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &advised{fmt.Errorf("the log is too long to be searched in %s: %w", timeout, err),
			"Run " + command("events trace", s.Name) + ": it takes the time that it needs."}
	}
	if errors.Is(err, trace.ErrMany) {
		return nil, &advised{err, "Look for the id of one event, sale or order instead."}
	}
	if err != nil {
		return nil, err
	}
	s.Events, s.More = len(found.Events), found.More
	times, err := readTimes(ctx, p, found.Events)
	if err != nil {
		return nil, err
	}
	s.tell(found.Events, times)
	if s.Orders, err = ordersOf(ctx, p, q, found.Events); err != nil || s.Events > 0 {
		return s, err
	}
	of, unread := lettersOf(q.tenant)
	for _, chosen := range []failures.LetterFilter{of, unread} {
		chosen.IDs, chosen.IncludeResolved = []string{s.Name}, true
		err := failures.EachDeadLetter(ctx, p.cfg.DB, chosen, mostLetters, func(l failures.DeadLetter) error {
			s.Letters = append(s.Letters, deadletters.EntryOf(l))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// tell makes trees of events that stand in the order of their trees, and notes what has not been handled.
func (s *story) tell(list []trace.Event, times times) {
	list, s.Cut = first(list, mostEvents)
	var above []*chapter // the way from a root to the last event
	for i := range list {
		e := &list[i]
		c := &chapter{Event: e}
		c.Text, c.TextCut = body(e.Body)
		for _, d := range e.Deliveries {
			at := stop{Delivery: d, When: times.of(e, d)}
			if at.Earlier = max(0, len(d.Tries)-mostTries); at.Earlier > 0 {
				at.Tries = d.Tries[at.Earlier:]
			}
			if d.State != trace.Handled {
				at.Next = events.Next(e, d)
				s.Open = append(s.Open, open{e, at, events.Why(d)})
			}
			c.Stops = append(c.Stops, at)
		}
		if above = above[:min(e.Depth, len(above))]; len(above) == 0 {
			s.Roots = append(s.Roots, c)
		} else {
			parent := above[len(above)-1]
			parent.Follows = append(parent.Follows, c)
		}
		above = append(above, c)
	}
}

// ordersOf are the orders that events tell of, as they stand now: what an event asks for may wait for a person.
func ordersOf(ctx context.Context, p *Page, q question, list []trace.Event) (orders []purchasing.PurchaseOrder, err error) {
	seen := map[string]bool{}
	for i := range list {
		e := &list[i]
		if e.Type != string(event.TypePurchaseOrderCreated) || seen[e.Aggregate] || len(seen) == mostStoryOrders {
			continue
		}
		seen[e.Aggregate] = true
		found, err := purchasing.PurchaseOrders(ctx, p.cfg.DB, purchasing.OrderFilter{Tenant: q.tenant, Name: e.Aggregate}, 1)
		if err != nil {
			return nil, err
		}
		orders = append(orders, found...)
	}
	return orders, nil
}

// orderState is where an order is, in words.
func orderState(o purchasing.PurchaseOrder) string {
	switch {
	case o.Status == purchasing.OrderPending:
		return "waits for a decision"
	case o.Status == purchasing.OrderCancelled:
		return "rejected: " + o.Reason
	case o.Dispatch == nil:
		return "approved, not sent yet"
	case o.Dispatch.SentAt == nil && o.Dispatch.Failure != "":
		return "approved, not sent: " + o.Dispatch.Failure
	case o.Dispatch.SentAt == nil:
		return "approved, " + strings.ToLower(strings.ReplaceAll(o.Dispatch.Status, "_", " "))
	}
	for _, l := range o.Lines {
		if l.Open {
			return "sent " + terminal.Moment(*o.Dispatch.SentAt) + ", not completely received"
		}
	}
	return "received"
}
