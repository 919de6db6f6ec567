package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/lib/pq"
)

var unprintedLetters = SQL(`SELECT id, error FROM dead_letter WHERE fingerprint = '' AND error <> '' ORDER BY id LIMIT $1`)

var printLetters = SQL(`
UPDATE dead_letter d SET fingerprint = p.fingerprint
FROM unnest($1::uuid[], $2::text[]) AS p(id, fingerprint) WHERE d.id = p.id AND d.fingerprint = ''`)

// printBatch is how many letters get their fingerprints at once.
const printBatch = 1000

// blankPrint stands for an error that says nothing: it has been looked at.
const blankPrint = "-"

// PrintDeadLetters gives a fingerprint to the letters that were recorded by a
// version that knew of none. Mostly there is nothing to do.
func (db *DB) PrintDeadLetters(ctx context.Context) error {
	for {
		var letters []struct {
			ID    uuid.UUID `db:"id"`
			Error string    `db:"error"`
		}
		if err := Select(ctx, db, &letters, unprintedLetters, printBatch); err != nil {
			return fmt.Errorf("looking for dead letters without a fingerprint: %w", err)
		}
		if len(letters) == 0 {
			return nil
		}
		ids, prints := make([]uuid.UUID, len(letters)), make(pq.StringArray, len(letters))
		for i, l := range letters {
			if ids[i], prints[i] = l.ID, Fingerprint(l.Error); prints[i] == "" {
				prints[i] = blankPrint
			}
		}
		err := db.InTx(ctx, func(tx Tx) error {
			_, err := Exec(ctx, tx, printLetters, UUIDs(ids), prints)
			return err
		})
		if err != nil {
			return fmt.Errorf("taking the fingerprints of %d dead letters: %w", len(letters), err)
		}
	}
}
