package masterdata

import (
	"context"

	"github.com/composerp/composerp/store"
)

// SourceSetting is which events a tenant takes of one source, such as a till; its bounds stand in place of the
// tenant's.
type SourceSetting struct {
	Tenant string `db:"tenant_id" json:"tenantId"`
	// Source is the metadata.source of its events.
	Source string `db:"source" json:"source"`
	// MaxAheadHours and MaxBehindDays are as in TenantSetting.
	MaxAheadHours int `db:"max_ahead_hours" json:"maxAheadHours"`
	MaxBehindDays int `db:"max_behind_days" json:"maxBehindDays"`
}

func (s *SourceSetting) begin() { s.MaxAheadHours = defaultAheadHours }

func (s *SourceSetting) checkKey() error {
	return firstError(checkID("tenantId", s.Tenant), checkID("source", s.Source))
}

// Check validates the settings; the error is an *InvalidError.
func (s *SourceSetting) Check() error {
	return firstError(
		s.checkKey(),
		checkRange("maxAheadHours", s.MaxAheadHours, 0, 24*maxSettingDays),
		checkRange("maxBehindDays", s.MaxBehindDays, 0, maxSettingDays),
	)
}

var sourceSettings = kind[SourceSetting, *SourceSetting]{what: "sources' settings", table: "source_setting", keys: 2}.withStatements()

// EditSourceSettings changes parts of settings; a dry run only checks the edits and reports what they would do.
func EditSourceSettings(ctx context.Context, db *store.DB, edits []Edit[SourceSetting], dryRun bool) (Written, error) {
	return sourceSettings.edit(ctx, db, edits, dryRun)
}

// SourceSettings lists the settings of sources that have their own.
func SourceSettings(ctx context.Context, db *store.DB, f Filter) ([]SourceSetting, error) {
	return sourceSettings.list(ctx, db, f)
}
