package masterdata

import (
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
)

// ItemCommand is the command `item`.
func ItemCommand() *cli.Command {
	type row = masterdata.Item
	return masterData[row]{
		noun: "item", plural: "items",
		usage: "items: name, unit, pack, cost",
		fields: []Field[row]{
			KeyField(TenantColumn, "the tenant it belongs to", func(r *row) *string { return &r.Tenant }),
			KeyField("itemId", "which item", func(r *row) *string { return &r.Item }),
			textField("name", "name for people", "", func(r *row) *string { return &r.Name }),
			textField("unit", "unit of its quantities: each, kg, m", "each", func(r *row) *string { return &r.Unit }),
			numberField("pack", "pack size; orders are rounded up to whole packs", "1", func(r *row) *event.Decimal { return &r.Pack }),
			OptionalField("unitCost", "cost of one unit; empty: unknown", func(r *row) **event.Decimal { return &r.UnitCost }),
		},
		shown: []string{"incomplete"},
		filters: []cli.Flag{
			&cli.StringFlag{Name: "item", Usage: "this item only"},
			&cli.BoolFlag{Name: "incomplete", Usage: "only items that a sale or a rule has named and that lack master data"},
		},
		key:    func(r *row) masterdata.Filter { return masterdata.Filter{Tenant: r.Tenant, Item: r.Item} },
		edit:   masterdata.EditItems,
		list:   masterdata.Items,
		header: []any{"TENANT", "ITEM", "UNIT", "PACK", "UNIT COST", "INCOMPLETE", "NAME"},
		cells: func(r *row) []any {
			return []any{r.Tenant, r.Item, r.Unit, r.Pack, terminal.NumberOr(r.UnitCost), map[bool]string{true: "incomplete"}[r.Incomplete], r.Name}
		},
	}.command()
}
