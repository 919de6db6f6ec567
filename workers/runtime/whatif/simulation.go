package whatif

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/whatif"
	"github.com/composerp/composerp/workers/worker"
)

// Workers are the planning workers of a side, declared for it alone: a worker may keep what it knows of its database.
type Workers struct {
	Ledger, Forecasting, Replenishment, Approval worker.Worker
	// Policy is who has approved an order that no person had to look at.
	Policy string
}

// batchSize is how many events a worker is handed at once, at most.
const batchSize = 400

// simulation is one side of a run.
type simulation struct {
	db        *store.DB
	workers   Workers
	measure   *measure
	leadTimes map[whatif.Supplier]int
	arrivals  arrivals
	history   bool // what is history orders too

	batch []event.Any
	hour  int64 // the latest that an event of the batch is in
	seq   int64 // of the last message; no log has it
	extra map[masterdata.PositionKey]event.Decimal
}

func newSimulation(ctx context.Context, db *store.DB, w Workers, m *measure) (*simulation, error) {
	days, err := whatif.LeadTimes(ctx, db)
	return &simulation{db: db, workers: w, measure: m, leadTimes: days, extra: map[masterdata.PositionKey]event.Decimal{}}, err
}

// take hands on an event of the log, after what has arrived by its time. own is how much of it is a receipt for an
// order of the live planning.
func (s *simulation) take(ctx context.Context, e event.Any, own event.Decimal) error {
	if err := s.until(ctx, e.Timestamp); err != nil {
		return err
	}
	if err := s.room(ctx, e.Timestamp); err != nil {
		return err
	}
	if err := s.until(ctx, e.Timestamp); err != nil { // that the batch before has ordered
		return err
	}
	e, taken, err := s.adapt(e, own)
	if err != nil || !taken {
		return err
	}
	s.batch = append(s.batch, e)
	return nil
}

// until hands on what arrives up to a time.
func (s *simulation) until(ctx context.Context, at time.Time) error {
	for {
		next, due := s.arrivals.due(at)
		if !due {
			return nil
		}
		if len(s.batch) > 0 && hourOf(next.at) > s.hour {
			if err := s.flush(ctx); err != nil { // it may order what arrives before next
				return err
			}
			continue
		}
		s.arrivals.pop()
		e, err := next.receipt()
		if err != nil {
			return err
		}
		s.add(masterdata.PositionKey{Tenant: next.tenant, Item: next.line.ItemID, Location: next.location}, next.line.Quantity)
		s.hour = max(s.hour, hourOf(next.at))
		s.batch = append(s.batch, s.marked([]event.Any{e})...)
	}
}

// room ends the batch where the next event belongs to another.
func (s *simulation) room(ctx context.Context, at time.Time) error {
	if len(s.batch) > 0 && (len(s.batch) >= batchSize || hourOf(at) > s.hour) {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	s.hour = max(s.hour, hourOf(at))
	return nil
}

func hourOf(at time.Time) int64 { return at.Unix() / 3600 }

// adapt makes of an event of the log what it is to the run, and tells whether it is anything.
func (s *simulation) adapt(e event.Any, own event.Decimal) (event.Any, bool, error) {
	changed := s.history && e.Metadata.History
	switch payload := e.Payload.(type) {
	case event.ReceiptCompleted:
		if own.IsZero() {
			break
		}
		s.add(masterdata.PositionKey{Tenant: e.TenantID, Item: payload.ItemID, Location: payload.LocationID}, own.Neg())
		payload.Quantity = payload.Quantity.Sub(own)
		if !payload.Quantity.IsPositive() {
			return e, false, nil
		}
		payload.PurchaseOrderID = ""
		e.Payload, changed = payload, true
	case event.StockCounted:
		extra := s.extra[masterdata.PositionKey{Tenant: e.TenantID, Item: payload.ItemID, Location: payload.LocationID}]
		if extra.IsZero() {
			break
		}
		if payload.Quantity = payload.Quantity.Add(extra); payload.Quantity.IsNegative() {
			payload.Quantity = event.Decimal{}
		}
		e.Payload, changed = payload, true
	}
	if !changed {
		return e, true, nil
	}
	if s.history {
		e.Metadata.History = false
	}
	adapted, err := event.Encode(e.Envelope, e.Payload)
	if err != nil {
		return e, false, fmt.Errorf("adapting %s %s to the run: %w", e.Type, e.ID, err)
	}
	adapted.LogSeq = e.LogSeq
	return adapted, true, nil
}

// add notes how much more a position has had by orders than it really had.
func (s *simulation) add(k masterdata.PositionKey, quantity event.Decimal) {
	s.extra[k] = s.extra[k].Add(quantity)
}

// flush has the workers handle the batch, and then what each of them emits.
func (s *simulation) flush(ctx context.Context) error {
	batch := s.batch
	s.batch = nil
	updates, err := s.handle(ctx, s.workers.Ledger, batch)
	if err != nil {
		return err
	}
	var moved []event.Any
	for _, e := range updates {
		s.measure.take(e)
		if e.Type == event.TypeInventoryUpdated {
			moved = append(moved, e)
		}
	}
	if _, err := s.handle(ctx, s.workers.Forecasting, moved); err != nil {
		return err
	}
	if err := s.plan(ctx, updates); err != nil {
		return err
	}
	for {
		forecasts, more, err := s.workers.Forecasting.RunTimer(ctx, s.db)
		if err != nil {
			return fmt.Errorf("forecasting in a what-if: %w", err)
		}
		if err := s.plan(ctx, s.marked(forecasts)); err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

// plan has replenishment handle events, and approval its orders.
func (s *simulation) plan(ctx context.Context, events []event.Any) error {
	emitted, err := s.handle(ctx, s.workers.Replenishment, events)
	if err != nil {
		return err
	}
	var orders []event.Any
	for _, e := range emitted {
		if created, is := e.Payload.(event.PurchaseOrderCreated); is {
			orders = append(orders, e)
			s.measure.take(e)
			days := s.leadTimes[whatif.Supplier{Tenant: e.TenantID, Supplier: created.SupplierID}]
			for _, line := range created.Lines {
				s.arrivals.push(arrival{at: e.Timestamp.Add(time.Duration(days) * 24 * time.Hour), tenant: e.TenantID,
					order: created.PurchaseOrderID, location: created.LocationID, line: line})
			}
		}
	}
	approved, err := s.handle(ctx, s.workers.Approval, orders)
	for _, e := range approved {
		s.measure.take(e)
	}
	return err
}

// handle hands events to a worker as the relay's messages, and returns what it emits.
func (s *simulation) handle(ctx context.Context, w worker.Worker, events []event.Any) ([]event.Any, error) {
	if len(events) == 0 {
		return nil, nil
	}
	deliveries := make([]rabbitmq.Delivery, len(events))
	for i, e := range events {
		deliveries[i] = rabbitmq.Delivery{Message: rabbitmq.Message{
			Type: string(e.Type), Body: e.Body, OwnUser: true, Headers: map[string]any{rabbitmq.HeaderLogSeq: e.LogSeq},
		}}
	}
	emitted, err := w.Handle(ctx, s.db, deliveries...)
	if err != nil {
		return nil, fmt.Errorf("having %s handle %d events of a what-if: %w", w.Name(), len(events), err)
	}
	return s.marked(emitted), nil
}

// marked gives events the positions in a log that they would have.
func (s *simulation) marked(events []event.Any) []event.Any {
	for i := range events {
		s.seq++
		events[i].LogSeq = s.seq
	}
	return events
}

// receiptSpace is the UUID namespace of a run's receipts (RFC 9562, 5.5).
var receiptSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/what-if/receipt"))
