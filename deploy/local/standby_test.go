package local_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
)

// A standby has what its primary has, also after it was away, and is a primary once it is promoted.
func TestAStandbyFollows(t *testing.T) {
	t.Parallel()
	primary := start(t, local.Config{Dir: tempDir(t), PostgresOnly: true})
	standby := start(t, local.Config{Dir: tempDir(t), PostgresOnly: true, Follows: primary})
	writes := func(s *local.Servers, statement string) error {
		_, err := open(t, s.DatabaseURL).Exec(statement)
		return err
	}
	if err := writes(primary, `CREATE TABLE kept AS SELECT 41 AS answer`); err != nil {
		t.Fatal(err)
	}
	if err := standby.Halt(t.Context(), local.PostgreSQL, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := writes(primary, `UPDATE kept SET answer = answer + 1`); err != nil {
		t.Fatal(err)
	}
	if err := standby.Revive(t.Context(), local.PostgreSQL); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, 30*time.Second, "the standby has the row", func() bool {
		var answer int
		return open(t, standby.DatabaseURL).QueryRow(`SELECT answer FROM kept`).Scan(&answer) == nil && answer == 42
	})
	if err := writes(standby, `DROP TABLE kept`); err == nil {
		t.Error("a standby takes writes")
	}
	if err := primary.Halt(t.Context(), local.PostgreSQL, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for range 2 { // The second promotes what is a primary already.
		if err := standby.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := writes(standby, `UPDATE kept SET answer = answer`); err != nil {
		t.Errorf("once promoted it takes no writes: %v", err)
	}
	wantRow(t, standby.DatabaseURL)
}
