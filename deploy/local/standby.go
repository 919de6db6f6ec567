package local

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
)

// # Standbys
//
// A standby is a PostgreSQL of its own that Config.Follows made: it copies its primary, streams from it, answers
// queries and takes no writes until Promote. Role, database and passwords are its primary's. It waits for a primary
// that is away, and so does a start after a Halt.

// StandbyName is how a standby calls itself at its primary, for synchronous_standby_names.
const StandbyName = ourName + "_standby"

// copy makes the cluster as a copy of a primary's, with what makes it that primary's standby.
func (p *postgres) copy(ctx context.Context, bin postgresBin, primary state) error {
	from := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: loopback + ":" + strconv.Itoa(primary.Ports.Postgres),
		RawQuery: "sslmode=disable&application_name=" + StandbyName}
	return p.fill(ctx, filepath.Join(bin.dir, "pg_basebackup"), []string{"PGPASSWORD=" + primary.SuperuserPassword},
		"--dbname", from.String(), "--write-recovery-conf", "--checkpoint", "fast", "--no-password")
}

// Demote restarts PostgreSQL as a standby without a primary: it answers, and takes no writes, until Promote makes it
// what it was.
func (s *Servers) Demote(ctx context.Context) error {
	if err := s.Halt(ctx, PostgreSQL, syscall.SIGINT); err != nil {
		return err
	}
	mark := filepath.Join(s.postgres.data(), "standby.signal")
	if err := errors.Join(writeDurably(mark, nil), s.postgres.account.give(mark)); err != nil {
		return fmt.Errorf("making a standby: %w", err)
	}
	return s.Revive(ctx, PostgreSQL)
}

// Promote makes a standby a primary, and returns when it takes writes. For a primary it does nothing.
func (s *Servers) Promote(ctx context.Context) error {
	db, err := s.Superuser()
	if err != nil {
		return fmt.Errorf("promoting a standby: %w", err)
	}
	defer db.Close()
	var standby, promoted bool
	if err := db.QueryRowContext(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil || !standby {
		return err
	}
	if err := db.QueryRowContext(ctx, `SELECT pg_promote(true, 60)`).Scan(&promoted); err != nil {
		return fmt.Errorf("promoting a standby: %w", err)
	}
	if !promoted {
		return errors.New("promoting a standby: it is none a minute later; see its log, postgres.log")
	}
	return nil
}
