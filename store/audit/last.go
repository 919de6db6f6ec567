package audit

import (
	"context"
	"database/sql"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// LastProof is the newest checkpoint: ProvenAt is when it was made, not valid without one; Since is for how long the
// log has gone on after it, or after its beginning.
type LastProof struct {
	ProvenAt sql.NullTime  `db:"proven_at"`
	Since    time.Duration `db:"-"`

	SinceSeconds float64 `db:"since"`
}

var lastProof = pg.SQL(`
SELECT c.made_at AS proven_at, greatest(0, extract(epoch FROM (SELECT made_at FROM tick ORDER BY id DESC LIMIT 1) - coalesce(c.made_at, t.made_at))) AS since
FROM (SELECT made_at FROM tick ORDER BY id LIMIT 1) t LEFT JOIN (SELECT made_at FROM audit_checkpoint ORDER BY id DESC LIMIT 1) c ON true`)

// ReadLastProof reads the newest checkpoint.
func ReadLastProof(ctx context.Context, db *store.DB) (LastProof, error) {
	p, err := pg.One[LastProof](ctx, db, "reading the last audit", lastProof)
	p.Since = pg.Seconds(p.SinceSeconds)
	return p, err
}
