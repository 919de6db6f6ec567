package audit

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
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
	p.Since = sqlvalue.Seconds(p.SinceSeconds)
	return p, err
}

// Proven is what the newest checkpoint covers.
type Proven struct {
	Checkpoint
	Published int64            // of its events, by the relay
	ByType    map[string]int64 // its events
	Handled   map[string]int64 // deliveries, by consumer
	// Open is how many deliveries it excused by name: they were pending, or dead letters.
	Open int64
}

var newestCheckpoint = pg.SQL(`
SELECT c.id, c.made_at, c.tallies, (SELECT count(*) FROM audit_open o WHERE o.checkpoint = c.id) AS open
FROM audit_checkpoint c ORDER BY c.id DESC LIMIT 1`)

// ReadProven reads the newest checkpoint; nil where there is none.
func ReadProven(ctx context.Context, db *store.DB) (*Proven, error) {
	rows, err := pg.List[struct {
		Checkpoint
		Tallies []byte `db:"tallies"`
		Open    int64  `db:"open"`
	}](ctx, db, "reading what is proven", newestCheckpoint)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	last, sums := rows[0], newTally()
	if err := json.Unmarshal(last.Tallies, &sums); err != nil {
		return nil, fmt.Errorf("reading checkpoint %d: %w", last.ID, err)
	}
	last.Events = sums.events()
	return &Proven{Checkpoint: last.Checkpoint, Published: sums.Published, ByType: sums.Events, Handled: sums.Handled, Open: last.Open}, nil
}
