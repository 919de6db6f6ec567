package storetest

import (
	"context"
	"database/sql"
	"sync"
	"testing"
)

// Exec runs the test's own SQL on a database of URL.
func Exec(t testing.TB, databaseURL, statement string, args ...any) {
	t.Helper()
	if _, err := pool(t, databaseURL).ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Value reads one value by the test's own SQL on a database of URL.
func Value[T any](t testing.TB, databaseURL, query string, args ...any) T {
	t.Helper()
	return One[T](t, pool(t, databaseURL), query, args...)
}

// One reads one value by the test's own SQL on a pool.
func One[T any](t testing.TB, db *sql.DB, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// Lock runs a statement in a transaction that stays open, with its locks, until release or the end of the test.
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
