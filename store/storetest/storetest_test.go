package storetest

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/local/localtest"
)

// TestSessionsThatWereEndedAreReplaced ends the sessions that Exec and Value have kept.
func TestSessionsThatWereEndedAreReplaced(t *testing.T) {
	t.Parallel()
	at := URL(t)
	first := Value[int](t, at, `SELECT pg_backend_pid()`)
	killer, err := sql.Open("postgres", at)
	if err != nil {
		t.Fatal(err)
	}
	defer killer.Close()
	for range 3 {
		if _, err := killer.Exec(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
		Exec(t, at, `SELECT 1`)
	}
	if second := Value[int](t, at, `SELECT pg_backend_pid()`); second == first {
		t.Error("the session lives: the test shows nothing")
	}
}

func TestPoolsEndWithTheTestsThatUseThem(t *testing.T) {
	t.Parallel()
	at := URL(t)
	kept := func() bool {
		poolsMu.Lock()
		defer poolsMu.Unlock()
		return pools[at] != nil
	}
	t.Run("one", func(t *testing.T) {
		Exec(t, at, `SELECT 1`)
		t.Run("another", func(t *testing.T) { Exec(t, at, `SELECT 1`) })
		if !kept() {
			t.Error("the pool has ended before the test")
		}
	})
	if kept() {
		t.Error("the pool goes on after the tests")
	}
	Exec(t, at, `SELECT 1`)
	EndSessions(at)
	Exec(t, localtest.Database(t), `ALTER DATABASE `+databaseOf(t, at)+` RENAME TO `+databaseOf(t, at)+`_moved`)
	Exec(t, localtest.Database(t), `ALTER DATABASE `+databaseOf(t, at)+`_moved RENAME TO `+databaseOf(t, at))
}

func databaseOf(t *testing.T, databaseURL string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// TestOneTemplateForAll makes the template from several sessions at once, as several test binaries do.
func TestOneTemplateForAll(t *testing.T) {
	t.Parallel()
	server := localtest.Database(t)
	names := make(chan string, 3)
	for range 3 {
		go func() {
			name, err := makeTemplate(context.Background(), server)
			if err != nil {
				t.Error(err)
			}
			names <- name
		}()
	}
	first := <-names
	for range 2 {
		if another := <-names; another != first || first == "" {
			t.Errorf("templates %q and %q", first, another)
		}
	}
	if n := Value[int](t, URL(t), `SELECT count(*) FROM pg_class WHERE relname = 'event_log'`); n != 1 {
		t.Error("a copy of the template has no event log")
	}
	if left := Value[int](t, server, `SELECT count(*) FROM pg_database WHERE datname = $1`, first); left != 1 {
		t.Errorf("%d databases have the template's name", left)
	}
}
