package whatif

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/whatif"
)

// Asked says what a run is about.
type Asked struct {
	whatif.Span
	// Item and Location, if set, are the only ones measured; the whole span is run in any case, since a location's week
	// and its transfers are those of all items.
	Item, Location string
	// Archives are those of the log, if the span may begin in them; nil: it may not.
	Archives *archive.Folder
	// History: what was brought in as history orders too. The live planning orders nothing for it.
	History bool
	// Workers declares the workers of a side; changed: of the side with the change.
	Workers func(changed bool) Workers
	// Change changes the rules of a side; nil: they stay.
	Change func(side *store.DB) error
	// Progress, if set, is called with how many positions of the log have been read, of how many, and the latest business
	// time.
	Progress func(read, all int64, at time.Time)
}

func (a *Asked) only(k masterdata.PositionKey) bool {
	return (a.Item == "" || a.Item == k.Item) && (a.Location == "" || a.Location == k.Location) && (a.Tenant == "" || a.Tenant == k.Tenant)
}

// inputs are the events that a side is given; outputs, those that what happened is measured by.
var (
	inputs = []event.Type{event.TypeSaleCompleted, event.TypeReceiptCompleted, event.TypeTransferInitiated, event.TypeStockAdjusted, event.TypeStockCounted}

	outputs = []event.Type{event.TypeInventoryUpdated, event.TypeInventoryLowStock, event.TypePurchaseOrderCreated,
		event.TypePurchaseOrderApproved, event.TypePurchaseOrderCancelled}
)

// run is what the columns share.
type run struct {
	asked    Asked
	db       *store.DB
	schemas  *whatif.Schemas
	sides    [2]*simulation // with the rules of today, and with the change
	happened *measure
	opening  []whatif.Position
	rules    int // that differ

	events      int64 // of inputs
	first, last time.Time
}

// Run runs the planning of the span twice, as it is and with the change, and reports all three columns. The database
// must be the owner's: see whatif.Begin. Nothing is left of it.
func Run(ctx context.Context, db *store.DB, asked Asked) (report Report, err error) {
	schemas, err := whatif.Begin(ctx, db, 2)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, schemas.Close()) }()
	r := &run{asked: asked, db: db, schemas: schemas}
	if err := r.open(ctx); err != nil {
		return Report{}, err
	}
	err = whatif.Read(ctx, db, asked.Archives, asked.Span, append(append([]event.Type{}, inputs...), outputs...), func(events []whatif.Logged, read, all int64) error {
		if err := r.page(ctx, events); err != nil {
			return err
		}
		if asked.Progress != nil {
			asked.Progress(read, all, r.last)
		}
		return schemas.Alive(ctx)
	})
	if err != nil {
		return Report{}, err
	}
	return r.report(ctx)
}

// open fills the sides and makes the three columns.
func (r *run) open(ctx context.Context) (err error) {
	if err := r.schemas.Fill(ctx, r.asked.Span); err != nil {
		return err
	}
	if r.opening, err = whatif.Opening(ctx, r.schemas.Side(0)); err != nil {
		return err
	}
	costs, err := whatif.UnitCosts(ctx, r.schemas.Side(0))
	if err != nil {
		return err
	}
	for i := range r.sides {
		w := r.asked.Workers(i == 1)
		m := newMeasure(r.opening, costs, r.asked, w.Policy)
		if r.sides[i], err = newSimulation(ctx, r.schemas.Side(i), w, m); err != nil {
			return err
		}
		r.sides[i].history = r.asked.History
		if i == 0 {
			r.happened = newMeasure(r.opening, costs, r.asked, w.Policy)
		}
	}
	if r.asked.Change == nil {
		return nil
	}
	if err := r.asked.Change(r.schemas.Side(1)); err != nil {
		return err
	}
	changed, err := r.changed(ctx)
	r.rules = len(changed)
	if err != nil || r.asked.From.IsZero() { // then nothing is there yet that could be short
		return err
	}
	return r.sides[1].follow(ctx, changed, r.asked.From)
}

// changed are the positions whose rules differ between the sides.
func (r *run) changed(ctx context.Context) (keys []masterdata.PositionKey, err error) {
	versions := map[masterdata.PositionKey]int64{}
	for i := range r.sides {
		rules, err := masterdata.Rules(ctx, r.schemas.Side(i), masterdata.Filter{})
		if err != nil {
			return nil, err
		}
		for _, rule := range rules {
			if i == 0 {
				versions[rule.Key()] = rule.Version
			} else if versions[rule.Key()] != rule.Version {
				keys = append(keys, rule.Key())
			}
		}
	}
	return keys, nil
}

// follow has replenishment consider the positions whose rules have changed, as it does when a planner changes them.
func (s *simulation) follow(ctx context.Context, changed []masterdata.PositionKey, at time.Time) error {
	events := make([]event.Any, len(changed))
	for i, k := range changed {
		rule := masterdata.RuleID(k)
		e, err := event.Encode(event.Envelope{
			ID: uuid.NewSHA1(receiptSpace, []byte("rule\x00"+rule)), AggregateID: rule, TenantID: k.Tenant, Timestamp: at,
			Metadata: event.Metadata{Source: "whatif"},
		}, event.RuleChanged{RuleID: rule, ItemID: k.Item, LocationID: k.Location})
		if err != nil {
			return err
		}
		events[i] = e
	}
	return s.plan(ctx, s.marked(events))
}

// page measures what happened, and has both sides take the events that are theirs.
func (r *run) page(ctx context.Context, logged []whatif.Logged) error {
	var events []event.Any
	var updates []uuid.UUID
	for _, l := range logged {
		e, err := event.Decode(l.Body)
		if err != nil {
			return err
		}
		e.LogSeq = l.Seq
		if !isInput(e.Type) {
			r.happened.take(e)
			continue
		}
		events = append(events, e)
		if e.Type == event.TypeReceiptCompleted {
			updates = append(updates, updateOf(e))
		}
		if r.first.IsZero() || e.Timestamp.Before(r.first) {
			r.first = e.Timestamp
		}
		if e.Timestamp.After(r.last) {
			r.last = e.Timestamp
		}
	}
	r.events += int64(len(events))
	own, err := whatif.Planned(ctx, r.schemas.Side(0), updates)
	if err != nil {
		return err
	}
	both, ctx := errgroup.WithContext(ctx)
	for _, s := range r.sides {
		both.Go(func() error {
			for _, e := range events {
				if err := s.take(ctx, e, own[updateOf(e)]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return both.Wait()
}

func isInput(t event.Type) bool {
	for _, input := range inputs {
		if t == input {
			return true
		}
	}
	return false
}

// updateOf is the id of the INVENTORY_UPDATED that a receipt leads to.
func updateOf(receipt event.Any) uuid.UUID { return event.DeriveID("ledger", receipt.ID, 0) }
