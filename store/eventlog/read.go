package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

var loggedSince = pg.SQL(`
SELECT seq, event_id, type, occurred_at, body FROM event_log
WHERE tenant_id = $1 AND type = $2 AND occurred_at >= $3 ORDER BY seq`)

// EntriesSince returns a tenant's events of one type from a moment of business time on. It reads the whole log: use it
// once, at the start.
func EntriesSince(ctx context.Context, db *store.DB, tenant string, kind event.Type, since time.Time) ([]Entry, error) {
	return pg.List[Entry](ctx, db, fmt.Sprintf("reading the %s events of %s", kind, tenant), loggedSince, tenant, string(kind), since)
}

var loggedAfter = pg.SQL(`
SELECT seq, event_id, type, occurred_at, body FROM event_log
WHERE seq > $1 AND tenant_id = $2 AND type = ANY (string_to_array($3, ',')) ORDER BY seq LIMIT $4`)

// EntriesAfter returns at most limit events of some types of a tenant, past a log position. It may skip an event whose
// transaction commits late: use it for display only.
func EntriesAfter(ctx context.Context, db *store.DB, tenant string, after int64, limit int, kinds ...event.Type) ([]Entry, error) {
	names := ""
	for i, k := range kinds {
		if i > 0 {
			names += ","
		}
		names += string(k)
	}
	return pg.List[Entry](ctx, db, fmt.Sprintf("reading the log of %s", tenant), loggedAfter, after, tenant, names, limit)
}
