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

// # Resuming
//
// A simulation resumes from what the fleet knows: the day of the last movement, the stock, the transfers that have not
// arrived, and the orders that suppliers have confirmed and not delivered. How a supplier delivers an order follows
// from the seed and the order, so it is computed again; what has arrived already is known by its event's id.

// restore gives the scenario and its suppliers the state of an earlier run.
func (s *Simulation) restore(ctx context.Context, left event.Date) error {
	tenant := s.Scenario.Tenant()
	stock, err := stockview.StockRows(ctx, s.DB, masterdata.PositionKey{Tenant: tenant})
	if err != nil {
		return err
	}
	transfers, err := s.transfers(ctx, left)
	if err != nil {
		return err
	}
	sent, err := purchasing.SentOrders(ctx, s.DB, tenant)
	if err != nil {
		return err
	}
	if err := s.suppliers.restore(sent); err != nil {
		return err
	}
	if err := s.dropArrived(ctx); err != nil {
		return err
	}
	return s.Scenario.Resume(left, stock, transfers)
}

// maxTransitDays is how many days a transfer may take.
const maxTransitDays = 3

// transfers finds the transfers of the last days that have not been received.
func (s *Simulation) transfers(ctx context.Context, left event.Date) ([]Transfer, error) {
	since := left.AddDays(-maxTransitDays).Time()
	logged, err := eventlog.EntriesSince(ctx, s.DB, s.Scenario.Tenant(), event.TypeTransferInitiated, since)
	if err != nil {
		return nil, err
	}
	byArrival := map[uuid.UUID]Transfer{}
	ids := make([]uuid.UUID, 0, len(logged))
	for _, l := range logged {
		e, err := event.Decode(l.Body)
		if err != nil {
			return nil, fmt.Errorf("reading transfer %s: %w", l.EventID, err)
		}
		if t, ok := event.As[event.TransferInitiated](e); ok {
			p := t.Payload
			id := s.facts.producer.id("R-" + p.TransferID)
			byArrival[id] = Transfer{p.TransferID, p.ItemID, p.ToLocationID, p.Quantity}
			ids = append(ids, id)
		}
	}
	missing, err := eventlog.NotAdmitted(ctx, s.DB, ids)
	if err != nil {
		return nil, err
	}
	found := make([]Transfer, len(missing))
	for i, id := range missing {
		found[i] = byArrival[id]
	}
	return found, nil
}

// dropArrived removes the deliveries that the warehouse has received from the suppliers' shipments.
func (s *Simulation) dropArrived(ctx context.Context) error {
	byID := map[uuid.UUID]Delivery{}
	var ids []uuid.UUID
	for _, d := range s.suppliers.due(noDate) {
		id := s.facts.producer.id(d.number())
		byID[id] = d
		ids = append(ids, id)
	}
	missing, err := eventlog.NotAdmitted(ctx, s.DB, ids)
	if err != nil {
		return err
	}
	for _, id := range missing {
		s.suppliers.shipments.add(byID[id])
	}
	s.suppliers.today = ""
	return nil
}

// noDate is after every day of business.
const noDate event.Date = "9999-12-31"

// restore confirms the orders of an earlier run again, from the requests that were sent.
func (s *supplierServer) restore(requests []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range requests {
		var o order
		if err := json.Unmarshal([]byte(r), &o); err != nil {
			return fmt.Errorf("reading an order that was sent before: %w", err)
		}
		if c, ok := s.suppliers[o.SupplierID]; ok {
			s.confirm(c, o, sendKey(o), sha256.Sum256([]byte(r)), event.DateOf(o.OrderedAt.In(s.zone)))
		}
	}
	return nil
}

// resume finds the first and the last day of this run, and restores the state of an earlier one.
func (s *Simulation) resume(ctx context.Context) error {
	left, err := stockview.LastBusinessDate(ctx, s.DB, s.Scenario.Tenant(), s.facts.zone)
	if err != nil {
		return err
	}
	if left != "" {
		s.progress.notef("resuming after %s", day(left))
		if err := s.restore(ctx, left); err != nil {
			return err
		}
	}
	first, last := s.Scenario.Days()
	if s.Until != "" && (last == "" || s.Until < last) {
		last = s.Until
	}
	if end := first.AddDays(s.Days - 1); s.Days > 0 && (last == "" || end < last) {
		last = end
	}
	s.first, s.last, s.left = first, last, left
	return nil
}

func day(d event.Date) string { return d.Time().Format("Mon 2 Jan 2006") }

// Span gives the first and the last day of this run, and the last day of an earlier run, "" where there was none. A
// last day before the first says that all days have been simulated.
func (s *Simulation) Span() (first, last, left event.Date) { return s.first, s.last, s.left }

// Moment is when a day begins in the scenario's time zone.
func (s *Simulation) Moment(d event.Date) time.Time {
	t := d.Time()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, s.facts.zone)
}
