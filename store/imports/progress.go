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

// ErrTakenOver means that another process has taken up the same import since.
var ErrTakenOver = errors.New("another import of the same file has taken over")

// ImportKey tells imports apart: by what is imported and by the rules, not by names.
type Key struct {
	FileSHA256    [sha256.Size]byte
	MappingSHA256 [sha256.Size]byte
}

// ImportProgress is how far an import has come. Term is who writes: see TakeImport.
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

// TakeImport takes an import up, with a new term, and says how far it had come. Whoever had it before can write
// nothing any more: its next SaveImport gives ErrTakenOver.
func Take(ctx context.Context, db *store.DB, key Key) (p Progress, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		return pg.Get(ctx, tx, &p, takeImport, key.FileSHA256[:], key.MappingSHA256[:])
	})
	if err != nil {
		return p, fmt.Errorf("taking up the import: %w", err)
	}
	return p, nil
}

var readImport = pg.SQL(`
SELECT term, file, rejects_file, rows, rejects_bytes, tally, finished
FROM import_progress WHERE file_sha256 = $1 AND mapping_sha256 = $2`)

// Import says how far an import has come; ErrNotFound when there was none.
func Read(ctx context.Context, db *store.DB, key Key) (Progress, error) {
	var p Progress
	if err := pg.Get(ctx, db, &p, readImport, key.FileSHA256[:], key.MappingSHA256[:]); err != nil {
		return p, fmt.Errorf("reading the import's progress: %w", err)
	}
	return p, nil
}

var saveImport = pg.SQL(`
UPDATE import_progress
SET file = $4, rejects_file = $5, rows = $6, rejects_bytes = $7, tally = $8, finished = $9, moved_at = clock_timestamp()
WHERE file_sha256 = $1 AND mapping_sha256 = $2 AND term = $3`)

// SaveImport notes how far an import has come, and holds it until the transaction ends: nobody else takes it up
// before. ErrTakenOver when somebody has done so already.
func Save(ctx context.Context, tx store.Tx, key Key, p Progress) error {
	n, err := pg.Exec(ctx, tx, saveImport, key.FileSHA256[:], key.MappingSHA256[:], p.Term, p.File, p.RejectsFile, p.Rows, p.RejectsBytes, string(p.Tally), p.Finished)
	if err != nil {
		return fmt.Errorf("noting the import's progress: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("noting the import's progress: %w", ErrTakenOver)
	}
	return nil
}
