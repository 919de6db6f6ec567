package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Archive is a file as it is noted.
type Archive struct {
	ID   int64  `db:"id" json:"archive"`
	File string `db:"file" json:"file"` // its name, without a directory
	// Low and High bound the partition: its positions are Low and up to High, without High.
	Low  int64 `db:"low" json:"low"`
	High int64 `db:"high" json:"high"`
	// FirstSeq and LastSeq are 0 without an event.
	Events     int64     `db:"events" json:"events"`
	FirstSeq   int64     `db:"first_seq" json:"firstSeq"`
	LastSeq    int64     `db:"last_seq" json:"lastSeq"`
	Bytes      int64     `db:"bytes" json:"bytes"`
	SHA256     Digest    `db:"sha256" json:"sha256"`
	FirstSeal  int64     `db:"first_seal" json:"firstSeal"`
	LastSeal   int64     `db:"last_seal" json:"lastSeal"`
	LoggedUpto time.Time `db:"logged_upto" json:"loggedUpTo"` // no event of it was logged later
	ArchivedAt time.Time `db:"archived_at" json:"archivedAt"`
	Operator   string    `db:"operator" json:"operator"`
	Reason     string    `db:"reason" json:"reason"`
}

var listArchives = pg.SQL(`
SELECT id, file, low, high, events, first_seq, last_seq, bytes, sha256, first_seal, last_seal, logged_upto, archived_at, operator, reason
FROM log_archive ORDER BY low`)

// List reads all archives, the oldest positions first.
func List(ctx context.Context, db *store.DB) ([]Archive, error) {
	return pg.List[Archive](ctx, db, "reading the list of archives", listArchives)
}

// cutSQL names event_log, so that it waits for a transaction that drops a partition.
const cutSQL = `SELECT coalesce(max(high), 0) FROM log_archive WHERE (SELECT count(*) FROM event_log WHERE seq < 0) >= 0`

var readCut = pg.SQL(cutSQL)

// Cut is the position of the log before which everything is in archives; 0: there are none.
func Cut(ctx context.Context, db *store.DB) (int64, error) {
	return pg.One[int64](ctx, db, "reading how far the log is archived", readCut)
}

var archiveOf = pg.SQL(`SELECT file FROM log_archive WHERE low <= $1 AND high > $1`)

// ErrArchived means that events are in archives, whose directory was not given.
var ErrArchived = fmt.Errorf("%w in the database: it is archived", store.ErrNotFound)

// Need is the error of a command that needs the events at a position which is archived.
func Need(ctx context.Context, db *store.DB, what string, seq int64) error {
	files, err := pg.List[string](ctx, db, "looking for the archive of a position", archiveOf, seq)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s: position %d of the log: %w, and no archive of it is noted", what, seq, store.ErrNotFound)
	}
	return fmt.Errorf("%s: position %d of the log: %w in %s; give its directory by --archives", what, seq, ErrArchived, files[0])
}
