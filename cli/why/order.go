package why

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/planner"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	kept "github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockhistory"
	"github.com/composerp/composerp/store/trace"
)

// orderWhy is an order, what has led to it, and what has happened since.
type orderWhy struct {
	purchasing.PurchaseOrder
	Reasons  []reason                  `json:"reasons"` // one a line
	Bookings []purchasing.OrderBooking `json:"bookings"`
	Events   []trace.Event             `json:"events"` // as `events trace` shows them, without their bodies

	archives *kept.Folder // nil: not given
}

func orderAsked(cctx *cli.Context) (string, error) {
	if cctx.NArg() != 1 {
		return "", exit.Usage("name one order, or a position: composerp why NUMBER, composerp why stock ITEM LOCATION; %s`composerp why --help` tells more",
			terminal.Suggest(cctx.Args().First(), []string{"stock"}))
	}
	return cctx.Args().First(), nil
}

func explainOrder(cctx *cli.Context, db *store.DB, name string) error {
	o, err := planner.FindOrder(cctx.Context, db, name, cctx.String("tenant"))
	if err != nil {
		return err
	}
	x := orderWhy{PurchaseOrder: o}
	if x.Bookings, err = purchasing.OrderBookings(cctx.Context, db, purchasing.OrderKey{Tenant: o.Tenant, Order: o.ID}); err != nil {
		return err
	}
	if x.archives, err = archive.Given(cctx.Context, cctx, db); err != nil {
		return err
	}
	if x.archives != nil {
		defer x.archives.Close()
	}
	progress := terminal.NewProgress(cctx.App.ErrWriter)
	found, err := trace.Find(cctx.Context, db, trace.Query{Name: o.ID, Tenant: o.Tenant, Archives: x.archives, Progress: progress.Reading})
	progress.End()
	if err != nil {
		return err
	}
	x.Events = found.Events
	for i := range o.Lines {
		r, err := explainLine(cctx.Context, db, &x, &o.Lines[i])
		if err != nil {
			return fmt.Errorf("explaining the order of %s: %w", o.Lines[i].Item, err)
		}
		x.Reasons = append(x.Reasons, r)
	}
	for i := range x.Events {
		x.Events[i].Body = nil // `events show` has it
	}
	if err := terminal.Show(cctx, &x, func(w io.Writer) { orderTable(w, &x) }); err != nil || x.created() != nil || x.archives != nil {
		return err
	}
	return archive.TellCut(cctx, db, "what led to the order is not shown")
}

// explainLine gathers what the rule knew when it asked for a line.
func explainLine(ctx context.Context, db *store.DB, x *orderWhy, l *purchasing.PurchaseOrderLine) (reason, error) {
	r := reason{Item: l.Item, Location: l.Location, RuleVersion: l.RuleVersion, Quantity: l.Quantity, Steps: []step{}}
	onHand, err := onHandAt(ctx, db, masterdata.PositionKey{Tenant: x.Tenant, Item: l.Item, Location: l.Location}, l.Sequence)
	if err != nil {
		return r, err
	}
	r.addPosition(l, onHand)
	of := masterdata.Filter{Tenant: x.Tenant, Item: l.Item, Location: l.Location}
	rules, err := masterdata.Rules(ctx, db, of)
	if err != nil {
		return r, err
	}
	if len(rules) == 0 || rules[0].Version != l.RuleVersion {
		r.Unexplained = fmt.Sprintf("the rule was version %d then, and is another now: the quantity cannot be worked out again", l.RuleVersion)
		r.add("ordered", l.Quantity, "as the order has it")
		return r, nil
	}
	r.Rule = &rules[0]
	p, err := planOf(ctx, db, x, r.Rule)
	if err != nil {
		return r, err
	}
	r.explain(l, p)
	return r, nil
}

// onHandAt is what was on hand after a movement; nil: it is not kept.
func onHandAt(ctx context.Context, db *store.DB, k masterdata.PositionKey, sequence int64) (*event.Decimal, error) {
	x, err := stockhistory.Explain(ctx, db, stockhistory.Question{PositionKey: k, Last: 1, Before: sequence + 1})
	if errors.Is(err, store.ErrNotFound) || err == nil && (len(x.Movements) == 0 || x.Movements[0].Sequence != sequence) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &x.Movements[0].OnHand, nil
}

func orderTable(w io.Writer, x *orderWhy) {
	terminal.Row(w, "order", x.Number)
	terminal.Row(w, "id", x.ID)
	terminal.Row(w, "tenant", x.Tenant)
	terminal.Row(w, "status", strings.ToLower(x.Status))
	terminal.Row(w, "supplier", strings.TrimSpace(x.Supplier+" "+x.SupplierName))
	for i := range x.Reasons {
		r := &x.Reasons[i]
		fmt.Fprintln(w)
		terminal.Row(w, r.Item+" at "+r.Location, "", r.ruleText())
		for _, s := range r.Steps {
			terminal.Row(w, "  "+s.What, s.Value, s.Note)
		}
		if r.Unexplained != "" {
			terminal.Row(w, "  not known", "", r.Unexplained)
		}
	}
	if cause := x.cause(); cause != nil {
		fmt.Fprintln(w)
		terminal.Row(w, "EVENTS", "BUSINESS TIME", "ID")
		for i := range x.Events {
			e := &x.Events[i]
			mark := ""
			if e.ID == cause.ID {
				mark = " (asked for the order)"
			}
			terminal.Row(w, strings.Repeat("  ", e.Depth)+e.Type+mark, terminal.Moment(e.OccurredAt), e.ID)
		}
	}
	fmt.Fprintln(w)
	terminal.Row(w, "WHEN", "WHAT", "QUANTITY", "ON ORDER THEN", "")
	planner.History(w, &x.PurchaseOrder, x.Bookings)
}

// created is the event of the order's creation, and cause the one that it follows from; nil: the log does not have it.
func (x *orderWhy) created() *trace.Event {
	i := slices.IndexFunc(x.Events, func(e trace.Event) bool {
		return e.Type == string(event.TypePurchaseOrderCreated) && e.Aggregate == x.ID
	})
	if i < 0 {
		return nil
	}
	return &x.Events[i]
}

func (x *orderWhy) cause() *trace.Event {
	created := x.created()
	if created == nil {
		return nil
	}
	i := slices.IndexFunc(x.Events, func(e trace.Event) bool { return e.ID.String() == created.CausationID })
	if i < 0 {
		return created
	}
	return &x.Events[i]
}

// ruleText says what the rule asks for.
func (r *reason) ruleText() string {
	text := fmt.Sprintf("rule version %d", r.RuleVersion)
	if r.Rule == nil {
		return text
	}
	text += ", " + r.Rule.Mode
	for _, part := range []struct {
		name  string
		value *event.Decimal
	}{{"reorder point", r.Rule.ReorderPoint}, {"order up to", r.Rule.OrderUpTo}, {"order quantity", r.Rule.OrderQuantity}, {"pack", r.Rule.PackSize}} {
		if part.value != nil {
			text += fmt.Sprintf(", %s %s", part.name, part.value)
		}
	}
	if !r.Rule.MinimumOrder.IsZero() {
		text += fmt.Sprintf(", minimum %s", r.Rule.MinimumOrder)
	}
	if r.Rule.Mode == masterdata.RuleAuto {
		text += fmt.Sprintf(", service level %s, cover %d days", r.Rule.ServiceLevel, r.Rule.CoverDays)
	}
	return text
}
