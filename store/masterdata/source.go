package masterdata

import (
	"context"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
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

type sourceKey struct{ tenant, source string }

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

// EditSourceSettings changes parts of settings; a dry run only checks the edits and reports what they would do.
func EditSourceSettings(ctx context.Context, db *store.DB, edits []Edit[SourceSetting], dryRun bool) (Written, error) {
	return registry[SourceSetting, sourceKey]{
		what:     "sources' settings",
		key:      func(s *SourceSetting) sourceKey { return sourceKey{s.Tenant, s.Source} },
		checkKey: (*SourceSetting).checkKey,
		begin: func(of *SourceSetting) SourceSetting {
			return SourceSetting{Tenant: of.Tenant, Source: of.Source, MaxAheadHours: defaultAheadHours}
		},
		check: (*SourceSetting).Check,
		read:  readByKey[SourceSetting](sourcesByKey, func(k sourceKey) []any { return []any{k.tenant, k.source} }),
		write: writeRows(writeSourceRows, func(s *SourceSetting) []any {
			return []any{s.Tenant, s.Source, s.MaxAheadHours, s.MaxBehindDays}
		}),
	}.edit(ctx, db, edits, dryRun)
}

var sourcesByKey = pg.SQL(`
SELECT s.tenant_id, s.source, s.max_ahead_hours, s.max_behind_days
FROM unnest($1::text[], $2::text[]) AS k(tenant_id, source)
JOIN source_setting s USING (tenant_id, source)
ORDER BY s.tenant_id, s.source
FOR NO KEY UPDATE OF s`)

var writeSourceRows = pg.SQL(`
INSERT INTO source_setting (tenant_id, source, max_ahead_hours, max_behind_days)
SELECT n.tenant_id, n.source, n.max_ahead_hours, n.max_behind_days
FROM unnest($1::text[], $2::text[], $3::int[], $4::int[]) AS n(tenant_id, source, max_ahead_hours, max_behind_days)
ORDER BY n.tenant_id, n.source
ON CONFLICT (tenant_id, source) DO UPDATE SET max_ahead_hours = excluded.max_ahead_hours, max_behind_days = excluded.max_behind_days`)

var listSources = pg.SQL(`
SELECT s.tenant_id, s.source, s.max_ahead_hours, s.max_behind_days
FROM source_setting s WHERE ($1 = '' OR s.tenant_id = $1) AND ($2 = '' OR s.source = $2)
ORDER BY s.tenant_id, s.source LIMIT nullif($3, 0)`)

// SourceSettings lists the settings of sources that have their own.
func SourceSettings(ctx context.Context, db *store.DB, f Filter) ([]SourceSetting, error) {
	return pg.List[SourceSetting](ctx, db, "listing sources' settings", listSources, f.Tenant, f.Source, f.Limit)
}
