package masterdata

import (
	"cmp"
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
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
		edit:   masterdata.EditItems,
		list:   masterdata.Items,
		header: []any{"TENANT", "ITEM", "UNIT", "PACK", "UNIT COST", "INCOMPLETE", "NAME"},
		cells: func(r *row) []any {
			return []any{r.Tenant, r.Item, r.Unit, r.Pack, terminal.NumberOr(r.UnitCost), map[bool]string{true: "incomplete"}[r.Incomplete], r.Name}
		},
	}.command()
}

// LocationCommand is the command `location`.
func LocationCommand() *cli.Command {
	type row = masterdata.Location
	return masterData[row]{
		noun: "location", plural: "locations",
		usage: "locations of stock: name, time zone, currency",
		fields: []Field[row]{
			KeyField(TenantColumn, "the tenant it belongs to", func(r *row) *string { return &r.Tenant }),
			KeyField("locationId", "which location", func(r *row) *string { return &r.Location }),
			textField("name", "name for people", "", func(r *row) *string { return &r.Name }),
			textField("timezone", "IANA time zone, such as Europe/London; it decides which business day a time belongs to", "UTC", func(r *row) *string { return &r.Timezone }),
			textField("currency", "ISO 4217 code of its sales and orders, such as EUR; empty: the tenant's", "", func(r *row) *string { return &r.Currency }),
		},
		filters: []cli.Flag{&cli.StringFlag{Name: "location", Usage: "this location only"}},
		edit:    masterdata.EditLocations,
		list:    masterdata.Locations,
		header:  []any{"TENANT", "LOCATION", "TIME ZONE", "CURRENCY", "NAME"},
		cells:   func(r *row) []any { return []any{r.Tenant, r.Location, r.Timezone, cmp.Or(r.Currency, "-"), r.Name} },
	}.command()
}

// hidePassword makes a supplier one that may be shown.
func hidePassword(s *masterdata.SupplierRecord) { s.Endpoint = s.ShownEndpoint() }

// SupplierCommand is the command `supplier`.
func SupplierCommand() *cli.Command {
	type row = masterdata.SupplierRecord
	return masterData[row]{
		noun: "supplier", plural: "suppliers",
		usage: "suppliers: lead time, endpoint for orders",
		fields: []Field[row]{
			KeyField(TenantColumn, "the tenant it belongs to", func(r *row) *string { return &r.Tenant }),
			KeyField("supplierId", "which supplier", func(r *row) *string { return &r.Supplier }),
			textField("name", "name for people", "", func(r *row) *string { return &r.Name }),
			daysField("leadTimeDays", "days from order to receipt", "", func(r *row) *int { return &r.LeadTimeDays }),
			textField("endpoint", "http or https URL that orders are POSTed to, with user and password if needed; empty: orders are not sent", "", func(r *row) *string { return &r.Endpoint }),
		},
		filters: []cli.Flag{&cli.StringFlag{Name: "supplier", Usage: "this supplier only"}},
		edit:    masterdata.EditSuppliers,
		list: func(ctx context.Context, db *store.DB, f masterdata.Filter) ([]row, error) {
			rows, err := masterdata.Suppliers(ctx, db, f)
			for i := range rows {
				hidePassword(&rows[i])
			}
			return rows, err
		},
		hide:   hidePassword,
		header: []any{"TENANT", "SUPPLIER", "LEAD TIME", "ENDPOINT", "NAME"},
		cells:  func(r *row) []any { return []any{r.Tenant, r.Supplier, days(r.LeadTimeDays), r.Endpoint, r.Name} },
	}.command()
}

// TenantCommand is the command `tenant`.
func TenantCommand() *cli.Command {
	type row = masterdata.TenantSetting
	return masterData[row]{
		noun: "tenant", plural: "tenants that have settings of their own", settingsOnly: true,
		usage: "settings of tenants: approval limit, forecast cadence, expiry warning, bounds of business time",
		fields: []Field[row]{
			KeyField(TenantColumn, "which tenant", func(r *row) *string { return &r.Tenant }),
			OptionalField("approvalLimit", "orders up to this amount are approved by policy; empty: every order needs a person", func(r *row) **event.Decimal { return &r.ApprovalLimit }),
			daysField("forecastCadenceDays", "business days between forecasts", "7", func(r *row) *int { return &r.ForecastCadenceDays }),
			daysField("expiryWarningDays", "days before a lot expires to warn of it", "30", func(r *row) *int { return &r.ExpiryWarningDays }),
			wholeField("maxAheadHours", "hours", "how far an event's business time may be ahead of the clock when it comes", "36", func(r *row) *int { return &r.MaxAheadHours }),
			daysField("maxBehindDays", "days it may be behind; 0: as old as it likes", "0", func(r *row) *int { return &r.MaxBehindDays }),
			daysField("transitDays", "days that goods may be on their way between locations before doctor names them", "14", func(r *row) *int { return &r.TransitDays }),
			wholeField("approvalEscalateHours", "hours", "hours after which an order that waits for a person is named to those on duty; 0: never", "0", func(r *row) *int { return &r.ApprovalEscalateHours }),
			wholeField("approvalCancelHours", "hours", "hours after which it is cancelled; 0: never", "0", func(r *row) *int { return &r.ApprovalCancelHours }),
			textField("currency", "ISO 4217 code of approvalLimit, of unitCost and of locations without one of their own, such as EUR", "", func(r *row) *string { return &r.Currency }),
		},
		edit:   masterdata.EditTenantSettings,
		list:   masterdata.TenantSettings,
		header: []any{"TENANT", "APPROVAL LIMIT", "ESCALATE", "CANCEL", "FORECAST CADENCE", "EXPIRY WARNING", "MAX AHEAD", "MAX BEHIND", "TRANSIT", "CURRENCY"},
		cells: func(r *row) []any {
			return []any{r.Tenant, terminal.NumberOr(r.ApprovalLimit), hoursOr(r.ApprovalEscalateHours), hoursOr(r.ApprovalCancelHours), days(r.ForecastCadenceDays), days(r.ExpiryWarningDays), fmt.Sprintf("%dh", r.MaxAheadHours), behind(r.MaxBehindDays), days(r.TransitDays), cmp.Or(r.Currency, "-")}
		},
	}.command()
}

// hoursOr shows a number of hours, 0 as never.
func hoursOr(n int) string {
	if n == 0 {
		return "never"
	}
	return fmt.Sprintf("%dh", n)
}

// SourceCommand is the command `source`.
func SourceCommand() *cli.Command {
	type row = masterdata.SourceSetting
	return masterData[row]{
		noun: "source", plural: "sources that have settings of their own", settingsOnly: true,
		usage: "settings of sources, such as tills: bounds of business time",
		fields: []Field[row]{
			KeyField(TenantColumn, "the tenant it belongs to", func(r *row) *string { return &r.Tenant }),
			KeyField("source", "which source, as the metadata of its events have it", func(r *row) *string { return &r.Source }),
			wholeField("maxAheadHours", "hours", "how far its events' business time may be ahead of the clock when they come", "36", func(r *row) *int { return &r.MaxAheadHours }),
			daysField("maxBehindDays", "days it may be behind; 0: as old as it likes", "0", func(r *row) *int { return &r.MaxBehindDays }),
		},
		edit:   masterdata.EditSourceSettings,
		list:   masterdata.SourceSettings,
		header: []any{"TENANT", "SOURCE", "MAX AHEAD", "MAX BEHIND"},
		cells: func(r *row) []any {
			return []any{r.Tenant, r.Source, fmt.Sprintf("%dh", r.MaxAheadHours), behind(r.MaxBehindDays)}
		},
	}.command()
}

// behind is a bound behind; 0 is none.
func behind(n int) string { return cmp.Or(map[int]string{0: "-"}[n], days(n)) }

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
