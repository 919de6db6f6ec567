package seal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/internal/pg"
)

// archived is a line of an archive as the log has had it.
func archived(r *archive.Row) *entry {
	e := &entry{
		seq: r.Seq, publish: r.Publish, occurredAt: r.OccurredAt, id: r.EventID, tenant: r.Tenant, kind: r.Type, version: r.Version,
		aggregate: r.Aggregate, body: Hash(r.BodySHA256), now: sha256.Sum256([]byte(r.Body)),
	}
	if r.LoggedAt != nil {
		e.loggedAt = sql.NullTime{Time: *r.LoggedAt, Valid: true}
	}
	return e
}

var sealsOf = pg.SQL(`
SELECT id, first_seq, last_seq, events, digests, hash, sealed_at FROM log_seal WHERE last_seq >= $1 AND first_seq < $2 AND id > $3 ORDER BY id LIMIT $4`)

var hashBefore = pg.SQL(`SELECT coalesce((SELECT hash FROM log_seal WHERE id = $1 - 1), decode(repeat('00', 32), 'hex')) AS hash`)

// Covered is what seals say of a file.
type Covered struct {
	First, Last int64 // the seals
	Events      int64
	Findings    []Finding // the first of them
}

// Cover holds a file with the positions from low and before high against their seals: each event against its digest,
// and each seal that the file has whole against the chain.
func Cover(ctx context.Context, db *store.DB, file *archive.File, low, high int64) (Covered, error) {
	var c Covered
	v := verification{db: db}
	if err := v.readErasures(ctx); err != nil {
		return c, err
	}
	for {
		page, err := pg.List[row](ctx, db, "reading the seals", sealsOf, low, high, c.Last, sealsAtOnce)
		if err != nil {
			return c, err
		}
		for i := range page {
			if c.First == 0 {
				c.First = page[i].ID
				if v.last.Hash, err = pg.One[Hash](ctx, db, "reading the seal before", hashBefore, c.First); err != nil {
					return c, err
				}
			}
			if err := v.cover(file, &page[i], low, high); err != nil {
				return c, err
			}
			c.Last, v.last = page[i].ID, page[i]
		}
		if len(page) < sealsAtOnce {
			c.Events, c.Findings = v.report.Events, v.report.Findings
			return c, nil
		}
	}
}

func (v *verification) cover(file *archive.File, s *row, low, high int64) error {
	marks, err := unpack(s.Digests)
	if err != nil {
		return fmt.Errorf("seal %d: %w", s.ID, err)
	}
	first, last := max(s.First, low), min(s.Last, high-1)
	for seq := range marks {
		if seq < first || seq > last {
			delete(marks, seq)
		}
	}
	before := v.report.Found
	l := newLink(v.last.Hash, s.ID, s.First)
	err = file.Frames(first-1, last, false, func(rows []archive.Row) error {
		for i := range rows {
			v.entry(l, marks, s.ID, archived(&rows[i]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for seq := range marks {
		v.report.find(Finding{Kind: Removed, Seq: seq, Seal: s.ID, What: "the event that was logged there is gone"})
	}
	v.report.Events += int64(l.events)
	if s.First >= low && s.Last < high && v.report.Found == before && l.end(s.Last) != s.Hash {
		v.report.find(Finding{Kind: Chain, Seal: s.ID, What: "the chain was changed: its hash is not that of its events"})
	}
	return nil
}
