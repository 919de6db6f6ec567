package masterdata

import (
	"cmp"
	"context"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// TenantSetting is how a tenant's planning works, and which events it takes.
type TenantSetting struct {
	Tenant string `db:"tenant_id" json:"tenantId"`
	// ApprovalLimit: an order in the tenant's currency up to this amount is approved by policy; nil: every order waits
	// for a person.
	ApprovalLimit *event.Decimal `db:"approval_limit" json:"approvalLimit"`
	// ForecastCadenceDays is the number of business days between forecasts; 0 means 7.
	ForecastCadenceDays int `db:"forecast_cadence_days" json:"forecastCadenceDays"`
	// ExpiryWarningDays is how many days before its expiry a lot is reported.
	ExpiryWarningDays int `db:"expiry_warning_days" json:"expiryWarningDays"`
	// MaxAheadHours is how far an event's business time may be ahead of the clock when it comes.
	MaxAheadHours int `db:"max_ahead_hours" json:"maxAheadHours"`
	// MaxBehindDays is how far it may be behind; 0: as far as it likes.
	MaxBehindDays int `db:"max_behind_days" json:"maxBehindDays"`
	// TransitDays is how many days a transfer may take before its goods are named as late; 0 means 14.
	TransitDays int `db:"transit_days" json:"transitDays"`
	// Currency is that of approvalLimit, of items' unitCost and of locations without one of their own; "": none.
	Currency string `db:"currency" json:"currency"`
}

const (
	maxSettingDays    = 3650
	defaultAheadHours = 36
)

func (s TenantSetting) withDefaults() TenantSetting {
	s.ForecastCadenceDays = cmp.Or(s.ForecastCadenceDays, 7)
	s.TransitDays = cmp.Or(s.TransitDays, 14)
	return s
}

func (s *TenantSetting) checkKey() error { return checkID("tenantId", s.Tenant) }

// Check validates the settings; the error is an *InvalidError.
func (s *TenantSetting) Check() error {
	return firstError(
		s.checkKey(), checkNotNegative("approvalLimit", s.ApprovalLimit),
		checkRange("forecastCadenceDays", s.ForecastCadenceDays, 1, maxSettingDays),
		checkRange("expiryWarningDays", s.ExpiryWarningDays, 0, maxSettingDays),
		checkRange("maxAheadHours", s.MaxAheadHours, 0, 24*maxSettingDays),
		checkRange("maxBehindDays", s.MaxBehindDays, 0, maxSettingDays),
		checkRange("transitDays", s.TransitDays, 1, maxSettingDays), checkCurrency(s.Currency),
	)
}

// SetTenantSettings replaces tenants' settings as a whole.
func SetTenantSettings(ctx context.Context, db *store.DB, settings []TenantSetting) (Written, error) {
	return EditTenantSettings(ctx, db, replaceEdits(settings, func(_, given *TenantSetting) { *given = given.withDefaults() }), false)
}

// EditTenantSettings changes parts of settings; a dry run only checks the edits and reports what they would do.
func EditTenantSettings(ctx context.Context, db *store.DB, edits []Edit[TenantSetting], dryRun bool) (Written, error) {
	return registry[TenantSetting, string]{
		what:     "tenants' settings",
		key:      func(s *TenantSetting) string { return s.Tenant },
		checkKey: (*TenantSetting).checkKey,
		begin: func(of *TenantSetting) TenantSetting {
			return TenantSetting{Tenant: of.Tenant, ExpiryWarningDays: 30, MaxAheadHours: defaultAheadHours}.withDefaults()
		},
		check: (*TenantSetting).Check,
		read:  readByKey[TenantSetting](settingsByKey, func(tenant string) []any { return []any{tenant} }),
		write: writeRows(writeSettingRows, func(t *TenantSetting) []any {
			return []any{t.Tenant, t.ApprovalLimit, t.ForecastCadenceDays, t.ExpiryWarningDays, t.MaxAheadHours, t.MaxBehindDays, t.TransitDays, t.Currency}
		}),
	}.edit(ctx, db, edits, dryRun)
}

var settingsByKey = pg.SQL(`
SELECT s.tenant_id, s.approval_limit, s.forecast_cadence_days, s.expiry_warning_days, s.max_ahead_hours, s.max_behind_days, s.transit_days, s.currency
FROM tenant_setting s WHERE s.tenant_id = ANY ($1::text[])
ORDER BY s.tenant_id
FOR NO KEY UPDATE OF s`)

var writeSettingRows = pg.SQL(`
INSERT INTO tenant_setting (tenant_id, approval_limit, forecast_cadence_days, expiry_warning_days, max_ahead_hours, max_behind_days, transit_days, currency)
SELECT n.tenant_id, n.approval_limit, n.forecast_cadence_days, n.expiry_warning_days, n.max_ahead_hours, n.max_behind_days, n.transit_days, n.currency
FROM unnest($1::text[], $2::numeric[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::text[])
     AS n(tenant_id, approval_limit, forecast_cadence_days, expiry_warning_days, max_ahead_hours, max_behind_days, transit_days, currency)
ORDER BY n.tenant_id
ON CONFLICT (tenant_id) DO UPDATE
SET approval_limit = excluded.approval_limit, forecast_cadence_days = excluded.forecast_cadence_days, expiry_warning_days = excluded.expiry_warning_days,
    max_ahead_hours = excluded.max_ahead_hours, max_behind_days = excluded.max_behind_days,
    transit_days = excluded.transit_days, currency = excluded.currency`)

var listSettings = pg.SQL(`
SELECT s.tenant_id, s.approval_limit, s.forecast_cadence_days, s.expiry_warning_days, s.max_ahead_hours, s.max_behind_days, s.transit_days, s.currency
FROM tenant_setting s WHERE $1 = '' OR s.tenant_id = $1
ORDER BY s.tenant_id LIMIT nullif($2, 0)`)

// TenantSettings lists the settings of tenants that have their own.
func TenantSettings(ctx context.Context, db *store.DB, f Filter) ([]TenantSetting, error) {
	return pg.List[TenantSetting](ctx, db, "listing tenants' settings", listSettings, f.Tenant, f.Limit)
}
