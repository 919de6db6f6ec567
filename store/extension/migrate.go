package extension

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"regexp"
	"slices"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

var (
	validName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)
	reserved  = []string{"public", "information_schema"}
)

// Migrate makes the schema of that name, if need be, and brings it up to the SQL files of goose at the root of files.
// Unqualified names in them are those of the schema. Several processes may call it at once: a session lock of the
// schema's own lets one work. It returns the number of files that were applied.
func Migrate(ctx context.Context, db *store.DB, name string, files fs.FS) (applied int, err error) {
	if !validName.MatchString(name) || slices.Contains(reserved, name) || name[:min(3, len(name))] == "pg_" {
		return 0, fmt.Errorf("migrating the schema %q: want small letters, digits and underscores, at most 48, and neither public nor pg_", name)
	}
	hash := fnv.New64a()
	hash.Write([]byte("composerp extension " + name))
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(int64(hash.Sum64()>>1)), lock.WithLockTimeout(1, 300))
	if err != nil {
		return 0, fmt.Errorf("migrating the schema %s: %w", name, err)
	}
	schema, err := pg.OpenSchema(db, name, 2, "") // what migrations set ends with these connections
	if err != nil {
		return 0, fmt.Errorf("migrating the schema %s: %w", name, err)
	}
	defer schema.Close()
	if err := makeSchema(ctx, db, name); err != nil {
		return 0, fmt.Errorf("making the schema %s: %w", name, err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, pg.Pool(schema), files, goose.WithSessionLocker(locker), goose.WithTableName(name+".goose_db_version"))
	if err != nil {
		return 0, fmt.Errorf("reading the migrations of the schema %s: %w", name, err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return len(results), fmt.Errorf("migrating the schema %s: %w", name, pg.MapError(err))
	}
	return len(results), nil
}

// makeSchema takes a lock first: of two that create a schema at once one fails, IF NOT EXISTS or not.
func makeSchema(ctx context.Context, db *store.DB, name string) error {
	return db.InTx(ctx, func(tx store.Tx) error {
		if err := pg.ExecText(ctx, tx, "SELECT pg_advisory_xact_lock(hashtextextended('composerp extension', 0))"); err != nil {
			return err
		}
		return pg.ExecText(ctx, tx, "CREATE SCHEMA IF NOT EXISTS "+name)
	})
}
