package failures

import (
	"cmp"
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

var lettersWithoutFingerprint = pg.SQL(`SELECT id, error FROM dead_letter WHERE fingerprint = '' AND error <> '' ORDER BY id LIMIT $1`)

var fingerprintLetters = pg.SQL(`
UPDATE dead_letter d SET fingerprint = p.fingerprint
FROM unnest($1::uuid[], $2::text[]) AS p(id, fingerprint) WHERE d.id = p.id AND d.fingerprint = ''`)

// fingerprintBatch is how many letters get their fingerprints at once.
const fingerprintBatch = 1000

// noFingerprint marks a letter whose error text is empty.
const noFingerprint = "-"

// FingerprintDeadLetters adds fingerprints to letters recorded by a version without them. Usually there is nothing to
// do.
func FingerprintDeadLetters(ctx context.Context, db *store.DB) error {
	for {
		var letters []struct {
			ID    uuid.UUID `db:"id"`
			Error string    `db:"error"`
		}
		if err := pg.Select(ctx, db, &letters, lettersWithoutFingerprint, fingerprintBatch); err != nil {
			return fmt.Errorf("reading dead letters without a fingerprint: %w", err)
		}
		if len(letters) == 0 {
			return nil
		}
		columns := pg.NewColumns(2, len(letters))
		for _, l := range letters {
			columns.Add(l.ID, cmp.Or(Fingerprint(l.Error), noFingerprint))
		}
		if err := pg.WriteAlone(ctx, db, fmt.Sprintf("writing the fingerprints of %d dead letters", len(letters)), fingerprintLetters, columns...); err != nil {
			return err
		}
	}
}
