package masterdata

import (
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
)

// TenantCommand is the command `tenant`.
func TenantCommand() *cli.Command {
	type row = masterdata.TenantSetting
	return masterData[row]{
		noun: "tenant", plural: "tenants that have settings of their own", settingsOnly: true,
		usage: "planning settings of tenants: approval limit, forecast cadence, expiry warning",
		fields: []Field[row]{
			KeyField(TenantColumn, "which tenant", func(r *row) *string { return &r.Tenant }),
			OptionalField("approvalLimit", "orders up to this amount are approved by policy; empty: every order needs a person", func(r *row) **event.Decimal { return &r.ApprovalLimit }),
			daysField("forecastCadenceDays", "business days between forecasts", "7", func(r *row) *int { return &r.ForecastCadenceDays }),
			daysField("expiryWarningDays", "days before a lot expires to warn of it", "30", func(r *row) *int { return &r.ExpiryWarningDays }),
		},
		key:    func(r *row) masterdata.Filter { return masterdata.Filter{Tenant: r.Tenant} },
		edit:   masterdata.EditTenantSettings,
		list:   masterdata.TenantSettings,
		header: []any{"TENANT", "APPROVAL LIMIT", "FORECAST CADENCE", "EXPIRY WARNING"},
		cells: func(r *row) []any {
			return []any{r.Tenant, terminal.NumberOr(r.ApprovalLimit), days(r.ForecastCadenceDays), days(r.ExpiryWarningDays)}
		},
	}.command()
}
