// Package storetest gives tests a database of their own on a real PostgreSQL.
//
// The server is the one `make test` has started, or else a private one that
// lives as long as the test binary. Each database is copied from a template that
// was migrated once a server, and dropped when its test ends.
package storetest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver of the bare connection that makes databases
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
)

var (
	templateOnce sync.Once
	templateErr  error
	templateName string
	counter      atomic.Int64
)

// DB opens a migrated database that nobody else uses.
func DB(t testing.TB) *store.DB {
	t.Helper()
	return Open(t, URL(t), 8)
}

// Open opens one more pool on a database of URL.
func Open(t testing.TB, databaseURL string, connections int) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: databaseURL, Name: "test", Connections: connections})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// URL makes a migrated database that nobody else uses and gives its URL.
func URL(t testing.TB) string {
	t.Helper()
	server := localtest.Database(t)
	templateOnce.Do(func() { templateName, templateErr = makeTemplate(context.Background(), server) })
	if templateErr != nil {
		t.Fatalf("making the template database: %v", templateErr)
	}
	name := fmt.Sprintf("t_%d_%d", time.Now().UnixNano(), counter.Add(1))
	if err := execute(t.Context(), server, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s`, name, templateName)); err != nil {
		t.Fatalf("making a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := Drop(server, name); err != nil {
			t.Logf("dropping the test database: %v", err)
		}
	})
	return withDatabase(server, name)
}

// Drop deletes a database of a server. An autovacuum worker in it is the superuser's, and
// cannot be sent away by others: it is waited for.
func Drop(server, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), localtest.Deadline(20*time.Second))
	defer cancel()
	for {
		err := execute(ctx, server, fmt.Sprintf(`DROP DATABASE IF EXISTS %s WITH (FORCE)`, name))
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// makeTemplate migrates a database that all test binaries of the server share, and gives its name, which stands for the
// migrations. One binary at a time makes it, under another name until it is whole.
func makeTemplate(ctx context.Context, server string) (string, error) {
	migrations, err := digest()
	if err != nil {
		return "", err
	}
	name := "template_" + migrations
	ctx, cancel := context.WithTimeout(ctx, localtest.Deadline(2*time.Minute))
	defer cancel()
	db, err := sql.Open("postgres", server)
	if err != nil {
		return "", err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // The lock is the session's.
	if _, err := db.ExecContext(ctx, `SELECT pg_advisory_lock(hashtext('template'))`); err != nil {
		return "", err
	}
	var made bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&made); err != nil || made {
		return name, err
	}
	draft := fmt.Sprintf("draft_%d", time.Now().UnixNano())
	if _, err := db.ExecContext(ctx, `CREATE DATABASE `+draft); err != nil {
		return "", err
	}
	if err := migrate(ctx, withDatabase(server, draft)); err != nil {
		return "", err
	}
	// The sessions that have migrated need a moment to end.
	localtest.Holds(20*time.Second, func() bool {
		_, err = db.ExecContext(ctx, `ALTER DATABASE `+draft+` RENAME TO `+name)
		return err == nil
	})
	return name, err
}

func migrate(ctx context.Context, databaseURL string) error {
	db, err := store.Open(ctx, store.Config{URL: databaseURL})
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Migrate(ctx)
	return err
}

// digest stands for what the migrations make: they are read where this file was compiled.
func digest() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(file), "..", "migrations", "*.sql"))
	if err != nil || len(paths) == 0 {
		return "", errors.Join(errors.New("looking for the migrations beside storetest: there are none"), err)
	}
	sum := sha256.New()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(path), len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

func execute(ctx context.Context, server, statement string) error {
	db, err := sql.Open("postgres", server)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}

func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		panic(err) // the server's URL has been used already
	}
	u.Path = "/" + name
	return u.String()
}

// Exec runs SQL of the test's own on a database of URL: to look, and to break things.
func Exec(t testing.TB, databaseURL, statement string, args ...any) {
	t.Helper()
	if _, err := pool(t, databaseURL).ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Value reads one value by SQL of the test's own.
func Value[T any](t testing.TB, databaseURL, query string, args ...any) T {
	t.Helper()
	var v T
	if err := pool(t, databaseURL).QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// Lock runs a statement in a transaction that stays open until release, or the end of the test: whoever wants what it has locked waits.
func Lock(t testing.TB, databaseURL, statement string) (release func()) {
	t.Helper()
	db, err := sql.Open("postgres", databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err == nil {
		_, err = tx.Exec(statement)
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	release = sync.OnceFunc(func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	t.Cleanup(release)
	return release
}

// Concurrently runs every function at once and fails the test with the first error.
func Concurrently(t testing.TB, run ...func(ctx context.Context) error) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	for _, f := range run {
		g.Go(func() error { return f(ctx) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
