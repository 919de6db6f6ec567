package masterdata

import (
	"cmp"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
)

// RuleCommand is the command `rule`.
func RuleCommand() *cli.Command {
	type row = masterdata.Rule
	return masterData[row]{
		noun: "rule", plural: "rules",
		usage:  "replenishment rules: when and how much to order of an item for a location",
		fields: ruleFields(),
		shown:  []string{"version"},
		filters: []cli.Flag{
			&cli.StringFlag{Name: "item", Usage: "this item only"}, &cli.StringFlag{Name: "location", Usage: "this location only"},
			&cli.StringFlag{Name: "supplier", Usage: "this supplier only"},
		},
		key: func(r *row) masterdata.Filter {
			return masterdata.Filter{Tenant: r.Tenant, Item: r.Item, Location: r.Location}
		},
		editAt: masterdata.EditRules,
		list:   masterdata.Rules,
		header: []any{
			"TENANT", "ITEM", "LOCATION", "MODE", "SUPPLIER", "REORDER POINT", "UP TO", "QUANTITY", "PACK", "MINIMUM", "SERVICE LEVEL", "COVER", "LOW BELOW", "VERSION",
		},
		cells: func(r *row) []any {
			return []any{
				r.Tenant, r.Item, r.Location, r.Mode, cmp.Or(r.Supplier, "-"), terminal.NumberOr(r.ReorderPoint), terminal.NumberOr(r.OrderUpTo), terminal.NumberOr(r.OrderQuantity),
				terminal.NumberOr(r.PackSize), r.MinimumOrder, r.ServiceLevel, days(r.CoverDays), terminal.NumberOr(r.LowStockThreshold), r.Version,
			}
		},
	}.command()
}

func ruleFields() []Field[masterdata.Rule] {
	type row = masterdata.Rule
	return []Field[row]{
		KeyField(TenantColumn, "the tenant it belongs to", func(r *row) *string { return &r.Tenant }),
		KeyField("itemId", "which item", func(r *row) *string { return &r.Item }),
		KeyField("locationId", "the location", func(r *row) *string { return &r.Location }),
		textField("mode", "fixed: the reorder point as set; auto: computed from the forecast", masterdata.RuleFixed, func(r *row) *string { return &r.Mode }),
		textField("supplierId", "supplier to order from; empty: no orders, only low-stock warnings", "", func(r *row) *string { return &r.Supplier }),
		OptionalField("reorderPoint", "stock at or below it is reordered; in mode auto until there is a forecast", func(r *row) **event.Decimal { return &r.ReorderPoint }),
		OptionalField("orderUpTo", "order up to this quantity", func(r *row) **event.Decimal { return &r.OrderUpTo }),
		OptionalField("orderQuantity", "or: order multiples of this quantity", func(r *row) **event.Decimal { return &r.OrderQuantity }),
		OptionalField("packSize", "orders are whole packs of this size; empty: the item's pack", func(r *row) **event.Decimal { return &r.PackSize }),
		numberField("minimumOrder", "minimum quantity of an order", "0", func(r *row) *event.Decimal { return &r.MinimumOrder }),
		numberField("serviceLevel", "target share of cycles without a stock-out in mode auto, between 0.5 and 1", "0.95", func(r *row) *event.Decimal { return &r.ServiceLevel }),
		daysField("coverDays", "days of demand that mode auto orders, without orderUpTo and orderQuantity", "14", func(r *row) *int { return &r.CoverDays }),
		OptionalField("lowStockThreshold", "stock below it is low; empty: never", func(r *row) **event.Decimal { return &r.LowStockThreshold }),
	}
}

func days(n int) string { return fmt.Sprintf("%dd", n) }
