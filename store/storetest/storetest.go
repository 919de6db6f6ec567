// Package storetest gives tests a database of their own on a real PostgreSQL, and the helpers to drive and break it.
//
// The server is the one that `make test` has started, or else a private one for the life of the test binary. Each
// database is copied from a template that was migrated once, and dropped when its test ends.
//
// Tests outside store/ use URL, DB, Open and SQL of their own (Exec, Value, Lock). Tests under store/ use an Env, which
// adds the log: transactions, a Ticker that goes step by step, Readers, claims and query plans.
package storetest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver of the bare connections that make databases

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
)

var (
	templateOnce sync.Once
	templateErr  error
	templateName string
	counter      atomic.Int64
)

// DB opens a pool on a new migrated database.
func DB(t testing.TB) *store.DB {
	t.Helper()
	return Open(t, URL(t), 8)
}

// Open opens another pool on a database of URL.
func Open(t testing.TB, databaseURL string, connections int) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: databaseURL, Name: "test", Connections: connections})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// URL makes a migrated database and returns its URL.
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
	return changed(server, func(u *url.URL) { u.Path = "/" + name })
}

// WithParameter returns the URL with a connection parameter.
func WithParameter(databaseURL, key, value string) string {
	return changed(databaseURL, func(u *url.URL) {
		q := u.Query()
		q.Set(key, value)
		u.RawQuery = q.Encode()
	})
}

// Proxied starts a proxy before the server, and returns the URL through it.
func Proxied(t testing.TB, databaseURL string) (*proxy.Proxy, string) {
	t.Helper()
	p, through, err := proxy.Before(databaseURL)
	Must(t, err)
	t.Cleanup(p.Close)
	return p, through
}

func changed(databaseURL string, change func(u *url.URL)) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		panic(err) // the URL has been used already
	}
	change(u)
	return u.String()
}

// Drop deletes a database of a server. An autovacuum worker in it belongs to the superuser and cannot be terminated:
// Drop waits for it.
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
	if err := migrate(ctx, changed(server, func(u *url.URL) { u.Path = "/" + draft })); err != nil {
		return "", err
	}
	// The sessions that have migrated need a moment to end.
	localtest.Await(20*time.Second, func() bool {
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
	_, err = store.Migrate(ctx, db)
	return err
}

// digest identifies what the migrations make.
func digest() (string, error) {
	files := store.MigrationFiles()
	paths, err := fs.Glob(files, "*.sql")
	if err != nil || len(paths) == 0 {
		return "", errors.Join(errors.New("the program has no migrations"), err)
	}
	sum := sha256.New()
	for _, path := range paths {
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

func execute(ctx context.Context, server, statement string, args ...any) error {
	db, err := sql.Open("postgres", server)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement, args...)
	return err
}
