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
	// ApprovalEscalateHours is after how many hours an order that waits for a person is named to those on duty, and
	// ApprovalCancelHours after how many it is cancelled; 0: never.
	ApprovalEscalateHours int `db:"approval_escalate_hours" json:"approvalEscalateHours"`
	ApprovalCancelHours   int `db:"approval_cancel_hours" json:"approvalCancelHours"`
	// Currency is that of approvalLimit, of items' unitCost and of locations without one of their own; "": none.
	Currency string `db:"currency" json:"currency"`
}

const (
	maxSettingDays    = 3650
	defaultAheadHours = 36
)

func (s *TenantSetting) fill() {
	s.ForecastCadenceDays = cmp.Or(s.ForecastCadenceDays, 7)
	s.TransitDays = cmp.Or(s.TransitDays, 14)
}

func (s *TenantSetting) begin() {
	s.ExpiryWarningDays, s.MaxAheadHours = 30, defaultAheadHours
	s.fill()
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
		checkRange("transitDays", s.TransitDays, 1, maxSettingDays),
		checkRange("approvalEscalateHours", s.ApprovalEscalateHours, 0, 24*maxSettingDays),
		checkRange("approvalCancelHours", s.ApprovalCancelHours, 0, 24*maxSettingDays), checkCurrency(s.Currency),
	)
}

var tenantSettings = kind[TenantSetting, *TenantSetting]{what: "tenants' settings", table: "tenant_setting", keys: 1}.withStatements()

// SetTenantSettings replaces tenants' settings as a whole.
func SetTenantSettings(ctx context.Context, db *store.DB, list []TenantSetting) (Written, error) {
	return EditTenantSettings(ctx, db, replaceEdits(list, func(_, given *TenantSetting) { given.fill() }), false)
}

// EditTenantSettings changes parts of settings; a dry run only checks the edits and reports what they would do.
func EditTenantSettings(ctx context.Context, db *store.DB, edits []Edit[TenantSetting], dryRun bool) (Written, error) {
	return tenantSettings.edit(ctx, db, edits, dryRun)
}

// TenantSettings lists the settings of tenants that have their own.
func TenantSettings(ctx context.Context, db *store.DB, f Filter) ([]TenantSetting, error) {
	return tenantSettings.list(ctx, db, f)
}

// One key of an index a tenant is read: the table of items may be long.
var tenantNames = pg.SQL(`
WITH RECURSIVE named AS (
    (SELECT min(tenant_id) AS tenant_id FROM item)
    UNION ALL SELECT (SELECT min(i.tenant_id) FROM item i WHERE i.tenant_id > n.tenant_id) FROM named n WHERE n.tenant_id IS NOT NULL
)
SELECT tenant_id FROM named WHERE tenant_id IS NOT NULL ORDER BY tenant_id LIMIT $1`)

// TenantNames returns the tenants that have items, by name, at most limit of them.
func TenantNames(ctx context.Context, db *store.DB, limit int) ([]string, error) {
	return pg.List[string](ctx, db, "reading the tenants", tenantNames, limit)
}
