package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
)

// A server that is killed is started again, as often as Config.Restarts says; the next end is the end.
func TestServersThatEndAreStartedAgain(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]local.Config{"database": {PostgresOnly: true, Restarts: 2}, "broker": {BrokerOnly: true, Restarts: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.Dir = tempDir(t)
			servers := start(t, cfg)
			which, answers := local.RabbitMQ, func() bool {
				connection, err := amqp.Dial(servers.AMQPURL)
				if err == nil {
					connection.Close()
				}
				return err == nil
			}
			if cfg.PostgresOnly {
				which, answers = local.PostgreSQL, func() bool {
					db, err := store.Open(t.Context(), store.Config{URL: servers.DatabaseURL})
					if err == nil {
						db.Close()
					}
					return err == nil
				}
			}
			for range cfg.Restarts {
				if err := servers.Signal(which, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				localtest.Eventually(t, time.Minute, "it does not answer", func() bool { return !answers() })
				localtest.Eventually(t, 3*time.Minute, "it answers again", answers)
			}
			select {
			case <-servers.Exited():
				t.Fatalf("the servers have ended: %v", servers.Err())
			default:
			}
			localtest.Eventually(t, time.Minute, "it is killed once more", func() bool { return servers.Signal(which, syscall.SIGKILL) == nil })
			select {
			case <-servers.Exited():
			case <-time.After(localtest.Deadline(time.Minute)):
				t.Fatal("after the last restart the end of a server is not told")
			}
			if err := servers.Err(); err == nil || !strings.Contains(err.Error(), "ended by itself") {
				t.Errorf("it ended by %v", err)
			}
		})
	}
}

// TestRestartInPlace takes each server down in each of the ways there are and finds its data again, at the same
// address.
func TestRestartInPlace(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	servers := start(t, local.Config{Dir: dir})
	before := servers.Endpoints
	writeRow(t, servers.DatabaseURL)
	publishOne(t, servers.AMQPURL)
	if err := servers.Revive(t.Context(), local.RabbitMQ); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("starting a server that is up: %v", err)
	}
	t.Run("database", func(t *testing.T) {
		t.Parallel()
		for _, step := range []func() error{
			func() error { return servers.Halt(t.Context(), local.PostgreSQL, syscall.SIGINT) },
			func() error { return servers.Halt(t.Context(), local.PostgreSQL, syscall.SIGINT) }, // Down already.
			func() error { return servers.Revive(t.Context(), local.PostgreSQL) },
			func() error { return servers.Halt(t.Context(), local.PostgreSQL, syscall.SIGQUIT) },
			func() error { return servers.Revive(t.Context(), local.PostgreSQL) },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		wantRow(t, before.DatabaseURL)
		wantStandby(t, servers)
	})
	t.Run("broker", func(t *testing.T) {
		t.Parallel()
		for _, step := range []func() error{
			func() error { return servers.Signal(local.RabbitMQ, syscall.SIGSTOP) },
			// It gets the request although it is stopped.
			func() error { return servers.Halt(t.Context(), local.RabbitMQ, syscall.SIGTERM) },
			func() error { return servers.Revive(t.Context(), local.RabbitMQ) },
			func() error { return servers.Signal(local.RabbitMQ, syscall.SIGSTOP) },
			func() error { return servers.Signal(local.RabbitMQ, syscall.SIGCONT) },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		wantMessage(t, before.AMQPURL)
		publishOne(t, before.AMQPURL)
		for _, step := range []func() error{
			func() error { return servers.Halt(t.Context(), local.RabbitMQ, syscall.SIGKILL) },
			func() error { return localtest.LoseBrokerData(dir) },
			func() error { return servers.Revive(t.Context(), local.RabbitMQ) },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		if got, ok, err := channel(t, before.AMQPURL).Get("kept", true); err != nil || ok {
			t.Errorf("a message outlived its broker's disk: %q, %v", got.Body, err)
		}
	})
	t.Cleanup(func() {
		if err := servers.Err(); err != nil {
			t.Errorf("an end that was asked for is told as news: %v", err)
		}
		if err := servers.Halt(context.Background(), local.RabbitMQ, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	})
}

// wantLeftOut stops the database of servers without a broker: the data of the other server must not be looked for in
// the working directory.
func wantLeftOut(t *testing.T, servers *local.Servers, dir string) {
	t.Helper()
	if err := servers.Revive(t.Context(), local.RabbitMQ); err == nil {
		t.Error("a server was started that was left out")
	}
	if err := servers.Halt(t.Context(), local.PostgreSQL, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := servers.Revive(t.Context(), local.PostgreSQL); err == nil {
		t.Error("a server was started after all were stopped")
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres", "data", "postmaster.pid")); !os.IsNotExist(err) {
		t.Errorf("a server runs after all were stopped: %v", err)
	}
}

// wantStandby makes the database a standby that refuses to be written to, and what it was again.
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
	begin := func() error { return db.InTx(t.Context(), func(store.Tx) error { return nil }) }
	_ = begin() // the pool finds out that its connections are gone
	if err := begin(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a transaction begins on a standby with %v", err)
	}
	if err := s.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := begin(); err != nil {
		t.Errorf("a transaction begins on what was promoted with %v", err)
	}
}
