package masterdata

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
)

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
		key:     func(r *row) masterdata.Filter { return masterdata.Filter{Tenant: r.Tenant, Supplier: r.Supplier} },
		edit:    masterdata.EditSuppliers,
		list: func(ctx context.Context, db *store.DB, f masterdata.Filter) ([]row, error) {
			rows, err := masterdata.Suppliers(ctx, db, f)
			for i := range rows {
				rows[i].Endpoint = rows[i].ShownEndpoint()
			}
			return rows, err
		},
		header: []any{"TENANT", "SUPPLIER", "LEAD TIME", "ENDPOINT", "NAME"},
		cells:  func(r *row) []any { return []any{r.Tenant, r.Supplier, days(r.LeadTimeDays), r.Endpoint, r.Name} },
	}.command()
}
