package demo

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockview"
)

// # Going on
//
// A world that was left is taken up from what the fleet knows: the day of its
// last movement, the stock, the transfers that never arrived and the orders that
// suppliers have confirmed and not brought. What a supplier would have done about
// an order follows from the seed and the order, so it is worked out again, and
// what has arrived of it already is known by its event's id.

// takeUp gives the world and its suppliers what they need to go on.
func (g *Game) takeUp(ctx context.Context, left event.Date) error {
	tenant := g.World.Tenant()
	stock, err := stockview.StockRows(ctx, g.DB, masterdata.PositionKey{Tenant: tenant})
	if err != nil {
		return err
	}
	underway, err := g.underway(ctx, left)
	if err != nil {
		return err
	}
	sent, err := purchasing.SentOrders(ctx, g.DB, tenant)
	if err != nil {
		return err
	}
	if err := g.suppliers.remember(sent); err != nil {
		return err
	}
	if err := g.forgetArrived(ctx); err != nil {
		return err
	}
	return g.World.Resume(left, stock, underway)
}

// longestRoad is how many days a transfer may take.
const longestRoad = 3

// underway finds the transfers of the last days that nobody has taken in.
func (g *Game) underway(ctx context.Context, left event.Date) ([]Underway, error) {
	since := left.AddDays(-longestRoad).Time()
	logged, err := eventlog.EntriesSince(ctx, g.DB, g.World.Tenant(), event.TypeTransferInitiated, since)
	if err != nil {
		return nil, err
	}
	byArrival := map[uuid.UUID]Underway{}
	ids := make([]uuid.UUID, 0, len(logged))
	for _, l := range logged {
		e, err := event.Decode(l.Body)
		if err != nil {
			return nil, fmt.Errorf("reading transfer %s: %w", l.EventID, err)
		}
		if t, ok := event.As[event.TransferInitiated](e); ok {
			p := t.Payload
			id := g.facts.voice.id("R-" + p.TransferID)
			byArrival[id] = Underway{p.TransferID, p.ItemID, p.ToLocationID, p.Quantity}
			ids = append(ids, id)
		}
	}
	missing, err := eventlog.NotAdmitted(ctx, g.DB, ids)
	if err != nil {
		return nil, err
	}
	found := make([]Underway, len(missing))
	for i, id := range missing {
		found[i] = byArrival[id]
	}
	return found, nil
}

// forgetArrived takes out of the suppliers' books what the warehouse has said to be in.
func (g *Game) forgetArrived(ctx context.Context) error {
	byID := map[uuid.UUID]Delivery{}
	var ids []uuid.UUID
	for _, d := range g.suppliers.due(farAway) {
		id := g.facts.voice.id(d.number())
		byID[id] = d
		ids = append(ids, id)
	}
	missing, err := eventlog.NotAdmitted(ctx, g.DB, ids)
	if err != nil {
		return err
	}
	for _, id := range missing {
		g.suppliers.shipped.add(byID[id])
	}
	g.suppliers.today = ""
	return nil
}

// farAway is after every day of business.
const farAway event.Date = "9999-12-31"

// remember takes up the orders that were confirmed before, as they were sent.
func (s *Suppliers) remember(requests []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range requests {
		var o order
		if err := json.Unmarshal([]byte(r), &o); err != nil {
			return fmt.Errorf("reading an order that was sent before: %w", err)
		}
		if c, ok := s.sources[o.SupplierID]; ok {
			s.confirm(c, o, sendKey(o), sha256.Sum256([]byte(r)), event.DateOf(o.OrderedAt.In(s.zone)))
		}
	}
	return nil
}

// resume finds the first and the last day of this run.
func (g *Game) resume(ctx context.Context) error {
	left, err := stockview.LastBusinessDate(ctx, g.DB, g.World.Tenant(), g.facts.zone)
	if err != nil {
		return err
	}
	if left != "" {
		g.board.tell("this world has been here before, until %s: it goes on from there", day(left))
		if err := g.takeUp(ctx, left); err != nil {
			return err
		}
	}
	first, last := g.World.Days()
	if g.Until != "" && (last == "" || g.Until < last) {
		last = g.Until
	}
	if end := first.AddDays(g.Days - 1); g.Days > 0 && (last == "" || end < last) {
		last = end
	}
	g.first, g.last, g.left = first, last, left
	return nil
}

func day(d event.Date) string { return d.Time().Format("Mon 2 Jan 2006") }

// Span gives the first and the last day of this run, and the day on which the
// world was left before, "" where it is new. A last day before the first says
// that there is nothing more to live.
func (g *Game) Span() (first, last, left event.Date) { return g.first, g.last, g.left }

// Moment is when a day begins where the world is.
func (g *Game) Moment(d event.Date) time.Time {
	t := d.Time()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, g.facts.zone)
}
