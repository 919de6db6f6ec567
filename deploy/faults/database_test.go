package faults_test

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

func (p *pair) breakDatabase() {
	p.Helper()
	p.survive("the database crashes", limit, func() func() {
		p.must(p.servers.Halt(p.Context(), local.PostgreSQL, syscall.SIGQUIT))
		p.soon(limit, "a slot pauses", p.paused)
		return func() { p.must(p.servers.Revive(p.Context(), local.PostgreSQL)) }
	})
	p.survive("a process of the database's is killed", limit, func() func() {
		var pid int
		p.must(p.super.QueryRowContext(p.Context(), `SELECT pid FROM pg_stat_activity WHERE application_name = 'composerp/workers' LIMIT 1`).Scan(&pid))
		p.must(syscall.Kill(pid, syscall.SIGKILL))
		p.soon(limit, "the database has recovered", func() bool {
			var n int
			return p.ask(&n, `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, pid) && n == 0
		})
		return func() {}
	})
	p.survive("all connections are taken by others", limit, p.takeConnections)
	p.survive("the database is a standby, and is promoted", limit, p.demote)
	p.survive("the disk is full", limit, p.fillDisk)
}

// serverFull is what PostgreSQL answers when only the superuser's connections are left.
const serverFull = "remaining connection slots are reserved"

// takeConnections has another role take every connection of the server. The fleet's role gets none meanwhile: it takes
// each connection that it loses again at once, and as many of its pools together are faster than one hog.
func (p *pair) takeConnections() (heal func()) {
	p.Helper()
	p.exec(`CREATE ROLE hog LOGIN PASSWORD 'hog'`)
	at, err := url.Parse(p.database)
	p.must(err)
	user := pq.QuoteIdentifier(at.User.Username())
	at.User = url.UserPassword("hog", "hog")
	hog, err := sql.Open("postgres", at.String())
	p.must(err)
	p.exec(`ALTER ROLE ` + user + ` CONNECTION LIMIT 0`)
	p.soon(limit, "the fleet has no connection", func() bool {
		var left int
		p.must(p.super.QueryRowContext(p.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'composerp/%'`).Scan(&left))
		return left == 0
	})
	for err == nil {
		_, err = hog.Conn(p.Context()) // Those taken are kept until the pool is closed.
	}
	if !strings.Contains(err.Error(), serverFull) {
		p.Fatalf("the hog takes connections until %v", err)
	}
	p.exec(`ALTER ROLE ` + user + ` CONNECTION LIMIT -1`)
	p.soon(limit, "the fleet learns that the server is full", func() bool { return p.log.has(serverFull) })
	p.soon(limit, "a slot pauses", p.paused)
	return func() {
		p.must(hog.Close())
		p.exec(`DROP ROLE hog`)
	}
}

// demote restarts the server as a standby: it answers queries and refuses writes until it is promoted.
func (p *pair) demote() (heal func()) {
	p.Helper()
	p.must(p.servers.Demote(p.Context()))
	p.soon(limit, "a slot pauses", p.paused)
	return func() { p.must(p.servers.Promote(p.Context())) }
}

// fillDisk puts the ledger's movements on a disk of their own and fills that. It takes the privilege to mount one.
func (p *pair) fillDisk() (heal func()) {
	p.Helper()
	_, uid, gid := p.dataDir()
	disk := filepath.Join(p.dir, "disk")
	p.must(os.Mkdir(disk, 0o700))
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		p.Logf("NOT TESTED: a full disk; no disk can be mounted here: %v", err)
		return func() {}
	}
	p.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	p.must(os.Chown(disk, uid, gid))
	p.must(os.Chmod(disk, 0o700))
	p.exec(`CREATE TABLESPACE small LOCATION '` + disk + `'`)
	p.exec(`ALTER TABLE movement SET TABLESPACE small`)
	filler, err := os.Create(filepath.Join(disk, "filler"))
	p.must(err)
	for block := make([]byte, 64<<10); err == nil; {
		_, err = filler.Write(block)
	}
	p.must(filler.Close())
	p.soon(limit, "a slot pauses", p.paused)
	return func() {
		p.must(os.Remove(filler.Name()))
		p.exec(`ALTER TABLE movement SET TABLESPACE pg_default`)
	}
}

// states are SQLSTATEs whose cause is not the statement that fails with them.
var states = []string{
	"08006", "25006", "25P03", "40001", "40P01", "53100", "53200", "53300", "53400", "55P03", "57014", "57P01", "57P02", "57P03", "58030",
}

// breakStatements has statements and transactions fail one by one, on a server that serves others.
func (p *pair) breakStatements() {
	p.Helper()
	p.exec(`ALTER SYSTEM SET deadlock_timeout = '100ms'`)
	p.exec(`SELECT pg_reload_conf()`)
	p.exec(`CREATE TABLE fault (state text)`)
	p.exec(`GRANT SELECT ON fault TO PUBLIC`)
	p.exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN
		FOR s IN SELECT state FROM fault LOOP RAISE 'on purpose: %', s USING ERRCODE = s; END LOOP; RETURN NULL; END $$`)
	p.exec(`CREATE TRIGGER fail BEFORE INSERT ON movement EXECUTE FUNCTION fail()`)
	for _, state := range states {
		p.survive("statements fail with "+state, limit, func() func() {
			p.exec(`INSERT INTO fault VALUES ($1)`, state)
			p.soon(limit, "a statement fails", func() bool { return p.log.has("on purpose: " + state) })
			return func() { p.exec(`DELETE FROM fault`) }
		})
	}
	p.exec(`DROP TRIGGER fail ON movement`)
	p.survive("a table is locked for long", limit, func() func() {
		tx := p.begin()
		_, err := tx.ExecContext(p.Context(), `LOCK TABLE movement IN ACCESS EXCLUSIVE MODE`)
		p.must(err)
		p.soon(limit, "a slot pauses", p.paused)
		return func() { p.must(tx.Rollback()) }
	})
	p.survive("a deadlock", limit, p.deadlock)
	p.survive("all sessions are terminated, again and again", limit, func() func() {
		for range 20 {
			p.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'composerp/%'`)
			pause(context.Background(), 50*time.Millisecond)
		}
		return func() {}
	})
	p.openForLong()
}

// deadlock takes the second of two rows that the ledger locks one after the other, waits until the ledger has the
// first, and asks for that. A ledger that has just then waited for long enough has gone before the rows cross: then
// once more.
func (p *pair) deadlock() (heal func()) {
	p.Helper()
	for range 10 {
		tx := p.begin()
		lock := func(location string) {
			p.Helper()
			_, err := tx.ExecContext(p.Context(), `SELECT FROM position WHERE item_id = 'item-1' AND location_id = $1 FOR UPDATE`, location)
			p.must(err)
		}
		// PostgreSQL must break off the ledger's transaction.
		_, err := tx.ExecContext(p.Context(), `SET LOCAL deadlock_timeout = '1h'`)
		p.must(err)
		lock("shop")
		p.soon(limit, "the ledger waits for it", func() bool {
			var n int
			return p.ask(&n, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'composerp/workers' AND wait_event_type = 'Lock'`) && n > 0
		})
		lock("@customer")
		for range 40 {
			if p.log.has("deadlock detected") {
				return func() { p.must(tx.Rollback()) }
			}
			pause(p.Context(), 50*time.Millisecond)
		}
		p.must(tx.Rollback())
	}
	p.Fatal("no deadlock has come about")
	return nil
}

// openForLong leaves a transaction open that has written to the log: nothing but its own event waits for it.
func (p *pair) openForLong() {
	p.Helper()
	patient, err := store.Open(p.Context(), store.Config{URL: p.database + "&idle_in_transaction_session_timeout=0", Name: "patient", Connections: 1})
	p.must(err)
	defer patient.Close()
	tx, err := patient.Begin(p.Context())
	p.must(err)
	late := p.sale("late")
	_, err = eventlog.Admit(p.Context(), tx, []event.Any{late}, true)
	p.must(err)
	p.survive("a transaction stays open", limit/3, func() func() { return func() {} })
	if p.known("late") {
		p.Error("an event is known before it was committed")
	}
	p.must(tx.Commit())
	p.note(late)
	p.soon(limit, "its event comes too", func() bool { return p.known("late") })
}
