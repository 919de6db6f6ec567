package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/purchasing"
)

// PurchaseOrderCommand is the command `po`.
func PurchaseOrderCommand() *cli.Command {
	tenant := &cli.StringFlag{Name: "tenant", Usage: "this tenant only"}
	by := settings.FlagOf(settings.FlagOperator)
	common := func(more ...cli.Flag) []cli.Flag {
		return settings.DatabaseFlags(append(more, tenant)...)
	}
	return &cli.Command{
		Name:  "po",
		Usage: "list, approve, reject and close purchase orders",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the newest orders",
				Flags: common(
					&cli.StringFlag{Name: "status", Usage: "pending, approved or cancelled"},
					&cli.StringFlag{Name: "supplier", Usage: "from this supplier only"},
					&cli.StringFlag{Name: "item", Usage: "with this item only"},
					&cli.StringFlag{Name: "location", Usage: "for this location only"},
					&cli.IntFlag{Name: "limit", Value: 50, Usage: "at most this many; 0: all"},
				),
				Action: settings.OnSchema("po", 1, ordersAsked, poList),
			},
			{Name: "show", Usage: "show an order with its lines, receipts and history", ArgsUsage: "ID|NUMBER", Flags: common(), Action: settings.OnSchema("po", 1, oneOrder, poShow)},
			{Name: "approve", Usage: "approve orders, which sends them to their suppliers", ArgsUsage: "ID|NUMBER...", Flags: common(by), Action: poApprove},
			{
				Name: "reject", Usage: "reject orders that are not sent yet", ArgsUsage: "ID|NUMBER...",
				Flags:  common(by, &cli.StringFlag{Name: "reason", Usage: "reason, for the record"}),
				Action: poReject,
			},
			{
				Name: "close", Usage: "close orders whose rest will not come", ArgsUsage: "ID|NUMBER...",
				Description: "What an order still awaits is not on order any more, and what is then short is ordered anew at once. The supplier is\n" +
					"not told. What comes all the same is stock as any receipt.",
				Flags:  common(by, &cli.StringFlag{Name: "reason", Usage: "reason, for the record"}, &cli.BoolFlag{Name: settings.FlagDryRun, Usage: "only show what would be taken off what is on order"}),
				Action: poClose,
			},
		},
	}
}

// orderQuestion is what `po list` is asked.
type orderQuestion struct {
	purchasing.OrderFilter
	limit int
}

func ordersAsked(cctx *cli.Context) (q orderQuestion, err error) {
	q.OrderFilter = purchasing.OrderFilter{
		Tenant: cctx.String("tenant"), Status: strings.ToUpper(cctx.String("status")), Supplier: cctx.String("supplier"), Item: cctx.String("item"), Location: cctx.String("location"),
	}
	if !slices.Contains([]string{"", purchasing.OrderPending, purchasing.OrderApproved, purchasing.OrderCancelled}, q.Status) {
		return q, exit.Usage("--status %q: want pending, approved or cancelled", cctx.String("status"))
	}
	q.limit, err = terminal.Limit(cctx)
	return q, err
}

func poList(cctx *cli.Context, db *store.DB, q orderQuestion) error {
	orders, err := terminal.Limited(cctx, q.limit, "the newest %d", func(most int) ([]purchasing.PurchaseOrder, error) {
		return purchasing.PurchaseOrders(cctx.Context, db, q.OrderFilter, most)
	})
	if err != nil {
		return err
	}
	header := []any{"NUMBER", "CREATED", "STATUS", "SUPPLIER", "LOCATION", "ITEM", "QUANTITY", "RECEIVED", "TOTAL", "DECIDED BY", "SENT", "TENANT"}
	return terminal.ShowRows(cctx, orders, header, func(o *purchasing.PurchaseOrder) []any {
		item, quantity, received := "", "", ""
		if len(o.Lines) > 0 {
			l := &o.Lines[0]
			item, quantity, received = l.Item, l.Quantity.String(), l.Received.String()
		}
		if more := len(o.Lines) - 1; more > 0 {
			item += fmt.Sprintf(" and %d more", more)
		}
		return []any{
			o.Number, terminal.Moment(o.CreatedAt), o.State, o.Supplier, o.Location, item, quantity, received,
			Total(o), o.DecidedBy, sent(o), o.Tenant,
		}
	})
}

// Total is what an order costs, as far as that is known.
func Total(o *purchasing.PurchaseOrder) string {
	if !o.Priced {
		return "not known"
	}
	return strings.TrimSpace(wording.Grouped(o.Total.StringFixedBank(max(2, -o.Total.Exponent()))) + " " + o.Currency)
}

// sent is how far an order is on its way to its supplier, in a word.
func sent(o *purchasing.PurchaseOrder) string {
	if o.Dispatch == nil {
		return ""
	}
	return strings.ToLower(strings.ReplaceAll(o.Dispatch.Status, "_", " "))
}
