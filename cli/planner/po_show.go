package planner

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/purchasing"
)

// shownOrder is an order and what happened to it.
type shownOrder struct {
	purchasing.PurchaseOrder
	Bookings []purchasing.OrderBooking `json:"bookings"`
}

func oneOrder(cctx *cli.Context) (string, error) {
	if cctx.NArg() != 1 {
		return "", exit.Usage("name one order by its id or its number: composerp po show ID|NUMBER")
	}
	return cctx.Args().First(), nil
}

func poShow(cctx *cli.Context, db *store.DB, name string) error {
	found, err := FindOrder(cctx.Context, db, name, cctx.String("tenant"))
	if err != nil {
		return err
	}
	bookings, err := purchasing.OrderBookings(cctx.Context, db, purchasing.OrderKey{Tenant: found.Tenant, Order: found.ID})
	if err != nil {
		return err
	}
	return terminal.Show(cctx, shownOrder{found, bookings}, func(w io.Writer) {
		head(w, &found)
		fmt.Fprintln(w)
		terminal.Row(w, "ITEM", "QUANTITY", "UNIT PRICE", "RECEIVED", "STILL OPEN", "RULE SAW", "NAME")
		for _, l := range found.Lines {
			price, open := terminal.Or(l.UnitPrice, "not known", event.Decimal.String), event.Decimal{}
			if l.Open {
				open = l.Quantity.Sub(l.Received)
			}
			terminal.Row(w, l.Item, l.Quantity, price, l.Received, open, ruleSaw(&l), l.ItemName)
		}
		fmt.Fprintln(w)
		terminal.Row(w, "WHEN", "WHAT", "QUANTITY", "ON ORDER THEN", "")
		History(w, &found, bookings)
	})
}

// ruleSaw is the inventory position by which the line was ordered.
func ruleSaw(l *purchasing.PurchaseOrderLine) string {
	transit := ""
	if !l.InTransit.IsZero() {
		transit = fmt.Sprintf(" + %s in transit", l.InTransit)
	}
	return fmt.Sprintf("%s available + %s on order%s <= %s", l.Available, l.OnOrder, transit, l.ReorderPoint)
}

func head(w io.Writer, o *purchasing.PurchaseOrder) {
	terminal.Row(w, "number", o.Number)
	terminal.Row(w, "id", o.ID)
	terminal.Row(w, "tenant", o.Tenant)
	terminal.Row(w, "state", o.State)
	terminal.Row(w, "supplier", strings.TrimSpace(o.Supplier+" "+o.SupplierName))
	terminal.Row(w, "for location", o.Location)
	terminal.Row(w, "total", Total(o))
	if d := o.Dispatch; d != nil {
		way := sent(o)
		if d.SentAt != nil {
			way += ", sent at " + terminal.Moment(*d.SentAt)
		}
		terminal.Row(w, "to the supplier", way)
		if d.Reference != "" {
			terminal.Row(w, "supplier's reference", d.Reference)
		}
		if d.PromisedDate != "" {
			terminal.Row(w, "promised for", d.PromisedDate)
		}
		if d.Failure != "" {
			terminal.Row(w, "last failure", d.Failure)
		}
	}
}

// History writes what happened, by business time; what was booked comes in the order of its booking.
func History(w io.Writer, o *purchasing.PurchaseOrder, bookings []purchasing.OrderBooking) {
	decided := o.DecidedAt == nil
	decide := func() {
		if decided {
			return
		}
		decided = true
		what := "approved by " + o.DecidedBy
		if o.Status == purchasing.OrderCancelled {
			what = "rejected by " + o.DecidedBy + ": " + o.Reason
		}
		made := ""
		if o.DecisionMadeAt != nil {
			made = "decided at " + terminal.Moment(*o.DecisionMadeAt)
		}
		terminal.Row(w, terminal.Moment(*o.DecidedAt), what, "", "", made)
	}
	for _, b := range bookings {
		if b.Kind != purchasing.BookedOrdered && !decided && !b.At.Before(*o.DecidedAt) {
			decide()
		}
		note := ""
		switch {
		case b.Kind == purchasing.BookedReceived && b.Change.IsZero():
			note = "nothing was awaited any more"
		case b.Kind == purchasing.BookedReceived && !b.Change.Neg().Equal(b.Quantity):
			note = fmt.Sprintf("%s more than awaited", b.Quantity.Add(b.Change))
		}
		terminal.Row(w, terminal.Moment(b.At), strings.ToLower(b.Kind)+" "+b.Item, b.Quantity, b.OnOrder, note)
	}
	decide()
	if o.ClosedAt != nil {
		terminal.Row(w, terminal.Moment(*o.ClosedAt), "closed by "+o.ClosedBy+": "+o.CloseReason)
	}
}

// FindOrder finds one order by its id or its number.
func FindOrder(ctx context.Context, db *store.DB, name, tenant string) (purchasing.PurchaseOrder, error) {
	found, err := purchasing.PurchaseOrders(ctx, db, purchasing.OrderFilter{Name: name, Tenant: tenant}, 2)
	switch {
	case err != nil:
		return purchasing.PurchaseOrder{}, err
	case len(found) == 0:
		return purchasing.PurchaseOrder{}, unknownOrder(ctx, db, name, tenant)
	case len(found) > 1:
		return purchasing.PurchaseOrder{}, exit.Usage("%q is an order of %s and of %s: say which by --tenant", name, found[0].Tenant, found[1].Tenant)
	}
	return found[0], nil
}

// unknownOrder names the newest order whose number is like the one that is not known.
func unknownOrder(ctx context.Context, db *store.DB, name, tenant string) error {
	newest, err := purchasing.PurchaseOrders(ctx, db, purchasing.OrderFilter{Tenant: tenant}, 1000)
	if err != nil {
		return err
	}
	numbers := make([]string, len(newest))
	for i := range newest {
		numbers[i] = newest[i].Number
	}
	hint := terminal.Suggest(name, numbers)
	if tenant != "" {
		return exit.Usage("tenant %s has no order %q; %s`composerp po list --tenant %[1]s` shows its orders", tenant, name, hint)
	}
	return exit.Usage("no order %q; %s`composerp po list` shows the orders", name, hint)
}
