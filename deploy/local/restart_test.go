package local_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/store"
)

// An owner may end one server and start it again in its place: with the same address, the same data, and without being told that it has died.
func TestADatabaseIsRevivedInItsPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := local.Start(t.Context(), local.Config{Dir: dir, PostgresOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(t.Context()) })
	writeRow(t, s.DatabaseURL)
	if err := s.Halt(t.Context(), local.PostgreSQL, syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if err := open(t, s.DatabaseURL).Ping(); err == nil {
		t.Error("a database that was halted answers")
	}
	if err := s.Revive(t.Context(), local.PostgreSQL); err != nil {
		t.Fatal(err)
	}
	wantRow(t, s.DatabaseURL)
	select {
	case <-s.Exited():
		t.Errorf("a wanted end was reported: %v", s.Err())
	default:
	}
	if err := s.Halt(t.Context(), local.RabbitMQ, syscall.SIGTERM); !errors.Is(err, local.ErrNotRunning) {
		t.Errorf("halting a server that was left out: %v", err)
	}
	wantStandby(t, s)
	if err := s.Signal(local.PostgreSQL, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Exited()
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "PostgreSQL ended by itself") {
		t.Errorf("an end nobody wanted is reported as %v", err)
	}
}

// wantStandby holds what the store makes of a server that takes no writes, and sees it promoted.
func wantStandby(t *testing.T, s *local.Servers) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: s.DatabaseURL})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := s.Demote(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRow(t, s.DatabaseURL)
	begin := func() error { return db.InTx(t.Context(), func(*store.Tx) error { return nil }) }
	_ = begin() // the pool finds out that its connections are gone
	if err := begin(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a transaction begins on a standby with %v", err)
	}
	super, err := s.Superuser()
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close()
	if _, err := super.Exec(`SELECT pg_promote()`); err != nil {
		t.Fatal(err)
	}
	if err := begin(); err != nil {
		t.Errorf("a transaction begins on what was promoted with %v", err)
	}
}
