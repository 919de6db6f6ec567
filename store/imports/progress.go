// Package imports records how far the import of a file has got, so that another process can resume it.
//
// Invariant: one owner at a time. Take gives a new term, and Save refuses every earlier one, in the transaction that
// admits the rows. A crash leaves the progress of the last committed batch, and its successor resumes there.
package imports

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// ErrTakenOver says that another process has taken over the same import.
var ErrTakenOver = errors.New("another import of the same file has taken over")

// Key identifies an import: by the file's content and the rules, not by names.
type Key struct {
	FileSHA256    [sha256.Size]byte
	MappingSHA256 [sha256.Size]byte
}

// Progress is how far an import has got. Term fences earlier owners: see Take.
type Progress struct {
	Term        int64  `db:"term"`
	File        string `db:"file"`
	RejectsFile string `db:"rejects_file"`
	// Rows of the file are done, each in the log or among the first RejectsBytes of the rejects file.
	Rows         int64           `db:"rows"`
	RejectsBytes int64           `db:"rejects_bytes"`
	Tally        json.RawMessage `db:"tally"` // the importer's own counts
	Finished     bool            `db:"finished"`
}

var takeImport = pg.SQL(`
INSERT INTO import_progress AS p (file_sha256, mapping_sha256, term, file, rejects_file, rows, rejects_bytes, tally, finished)
VALUES ($1, $2, 1, '', '', 0, 0, '{}', false)
ON CONFLICT (file_sha256, mapping_sha256) DO UPDATE SET term = p.term + 1
RETURNING term, file, rejects_file, rows, rejects_bytes, tally, finished`)

// Take takes over an import, with a new term, and returns its progress. The previous owner's next Save returns
// ErrTakenOver.
func Take(ctx context.Context, db *store.DB, key Key) (Progress, error) {
	return pg.OneAlone[Progress](ctx, db, "taking over the import", takeImport, key.FileSHA256[:], key.MappingSHA256[:])
}

var readImport = pg.SQL(`
SELECT term, file, rejects_file, rows, rejects_bytes, tally, finished
FROM import_progress WHERE file_sha256 = $1 AND mapping_sha256 = $2`)

// Read returns an import's progress; ErrNotFound when there is none.
func Read(ctx context.Context, db *store.DB, key Key) (Progress, error) {
	return pg.One[Progress](ctx, db, "reading the import's progress", readImport, key.FileSHA256[:], key.MappingSHA256[:])
}

var saveImport = pg.SQL(`
UPDATE import_progress
SET file = $4, rejects_file = $5, rows = $6, rejects_bytes = $7, tally = $8, finished = $9, moved_at = clock_timestamp()
WHERE file_sha256 = $1 AND mapping_sha256 = $2 AND term = $3`)

// Save records an import's progress and holds it until the transaction ends, so that no other process takes it over
// before. ErrTakenOver when one has.
func Save(ctx context.Context, tx store.Tx, key Key, p Progress) error {
	n, err := pg.Exec(ctx, tx, saveImport, key.FileSHA256[:], key.MappingSHA256[:], p.Term, p.File, p.RejectsFile, p.Rows, p.RejectsBytes, string(p.Tally), p.Finished)
	if err != nil {
		return fmt.Errorf("recording the import's progress: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("recording the import's progress: %w", ErrTakenOver)
	}
	return nil
}
