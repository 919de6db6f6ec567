package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/composerp/composerp/store/internal/pg"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// MigrationFiles are the migrations, a file each, at the root.
func MigrationFiles() fs.FS {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // The folder is embedded under this name.
	}
	return files
}

// Migration is one step of the schema and whether the database has it.
type Migration struct {
	Version   int64     `json:"version"`
	Name      string    `json:"name"`
	Applied   bool      `json:"applied"`
	AppliedAt time.Time `json:"appliedAt,omitzero"`
}

func migrations(db *DB) (*goose.Provider, error) {
	// A waiting process asks each second, for at most five minutes.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, pg.Pool(db), MigrationFiles(), goose.WithSessionLocker(locker))
}

// Migrate brings the schema up to this program's version and returns the migrations applied. Several processes may
// call it at once: a session lock lets one work.
func Migrate(ctx context.Context, db *DB) ([]Migration, error) {
	provider, err := migrations(db)
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrating: %w", pg.MapError(err))
	}
	var done []Migration
	for _, r := range results {
		done = append(done, Migration{Version: r.Source.Version, Name: r.Source.Path, Applied: true, AppliedAt: time.Now().UTC()})
	}
	return done, nil
}

// Migrations lists every migration this program knows and whether it is applied.
func Migrations(ctx context.Context, db *DB) ([]Migration, error) {
	provider, err := migrations(db)
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	status, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the migrations' status: %w", pg.MapError(err))
	}
	var list []Migration
	for _, s := range status {
		list = append(list, Migration{Version: s.Source.Version, Name: s.Source.Path, Applied: s.State == goose.StateApplied, AppliedAt: s.AppliedAt.UTC()})
	}
	return list, nil
}

// CheckSchema returns ErrSchema, with the command to run, when the database lacks a migration.
func CheckSchema(ctx context.Context, db *DB) error {
	list, err := Migrations(ctx, db)
	if err != nil {
		return err
	}
	for _, m := range list {
		if !m.Applied {
			return fmt.Errorf("%w: migration %s is not applied; run `composerp migrate up`", ErrSchema, m.Name)
		}
	}
	return nil
}
