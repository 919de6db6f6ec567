package faults_test

import (
	"context"
	"database/sql"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/workers/runtime/audit"
)

// twins are an environment whose database has a standby. Every URL names both hosts, and super is the primary's.
type twins struct {
	*pair
	standby *local.Servers
	second  *sql.DB // the standby's superuser
}

func newTwins(t *testing.T) *twins {
	t.Helper()
	w := &twins{pair: startPair(t)}
	w.standby = startServers(t, local.Config{Dir: place(t), PostgresOnly: true, Follows: w.servers})
	w.second = superuser(t, w.standby)
	both, parameters := twoHosts(t, w.servers.DatabaseURL, w.standby.DatabaseURL)
	w.environment = newEnvironment(t, endpoints{
		fleetDatabase: both + "&lock_timeout=500", fleetExchange: []string{w.servers.AMQPURL},
		database: parameters, exchange: []string{w.servers.AMQPURL}, management: w.servers.ManagementURL,
	})
	return w
}

// twoHosts are a URL that leads to the one of two servers that takes writes, and the same with hosts and ports as
// parameters, which the driver alone reads too.
func twoHosts(t *testing.T, first, second string) (both, parameters string) {
	t.Helper()
	one, err := url.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	other, err := url.Parse(second)
	if err != nil {
		t.Fatal(err)
	}
	q := one.Query()
	q.Set("target_session_attrs", "read-write")
	inURL := *one
	inURL.Host, inURL.RawQuery = one.Host+","+other.Host, q.Encode()
	q.Set("host", one.Hostname()+","+other.Hostname())
	q.Set("port", one.Port()+","+other.Port())
	one.Host, one.RawQuery = "", q.Encode()
	return inURL.String(), one.String()
}

// TestFailover kills the primary under load and promotes its standby, for which every commit has waited: nothing is
// lost, nothing is applied twice, and the fleet goes on by itself.
func TestFailover(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	w := newTwins(t)
	w.awaitStandby()
	w.run(w.fleet()...)
	w.speak()
	var committed <-chan error
	server, err := store.InspectServer(w.Context(), w.db)
	if err != nil || server.Followers != 1 || !server.Waits {
		t.Errorf("the primary says of its standby %+v, %v", server, err)
	}
	w.survive("the synchronous standby is away", limit, func() func() {
		w.must(w.standby.Halt(w.Context(), local.PostgreSQL, syscall.SIGKILL))
		w.soon(limit, "commits wait for the standby", func() bool { return w.waiting("composerp/workers") })
		committed = w.cancelCommit()
		return func() { w.must(w.standby.Revive(w.Context(), local.PostgreSQL)) }
	})
	w.must(<-committed)
	w.survive("the primary is killed, and its standby promoted", limit, func() func() {
		w.must(w.servers.Halt(w.Context(), local.PostgreSQL, syscall.SIGKILL))
		w.soon(limit, "a slot pauses", w.paused)
		return w.promote
	})
	w.rest(audit.Proven)
}

// TestFailoverLosesWhatAStandbyLacks promotes a standby that no commit has waited for and that lacks the last events
// and effects. The runbook of a restore finds what the log still has and does it again; the senders publish the rest
// again.
func TestFailoverLosesWhatAStandbyLacks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	w := newTwins(t)
	const kept, lost = 100, 10
	w.run(w.fleet()...) // Each worker subscribes.
	w.halt()
	w.run() // The relay alone.
	w.admitSales(kept)
	w.soon(limit, "all of them are in the queues", func() bool {
		log, err := eventlog.ReadState(w.Context(), w.db, "")
		return err == nil && log.Unpublished == 0
	})
	w.halt()
	w.awaitReplay()
	w.cutStandby()
	w.run(w.fleet()...)
	w.soon(limit, "their effects are there", func() bool { return w.unmoved(w.confirmed()) == 0 })
	gone := w.admitSales(lost)
	w.soon(limit, "those of the last ones too", func() bool { return w.unmoved(w.confirmed()) == 0 })
	w.halt()
	w.must(w.servers.Halt(w.Context(), local.PostgreSQL, syscall.SIGKILL))
	w.promote()

	w.emptyBroker()
	_, err := eventlog.BeginEpoch(w.Context(), w.db, operatorlog.By{Operator: "test", Reason: "failover"}, true)
	w.must(err)
	w.run(w.fleet()...)
	w.wantUnhandled(w.rest(audit.Findings), kept)
	w.republish()
	w.rest(audit.Proven)
	if n := w.unmoved(w.confirmed()); n != lost {
		w.Errorf("%d events are gone, want the %d that the standby lacked", n, lost)
	}
	w.admit(w.Context(), gone...)
	w.soon(limit, "what was published again has moved stock", func() bool { return w.unmoved(w.confirmed()) == 0 })
	w.rest(audit.Proven)
}

// awaitStandby has every commit wait for the standby.
func (w *twins) awaitStandby() {
	w.Helper()
	w.exec(`ALTER SYSTEM SET synchronous_standby_names = '` + local.StandbyName + `'`)
	w.exec(`SELECT pg_reload_conf()`)
	w.soon(limit, "the standby is synchronous", func() bool {
		var state string
		return w.super.QueryRowContext(w.Context(), `SELECT sync_state FROM pg_stat_replication`).Scan(&state) == nil && state == "sync"
	})
}

// waiting tells whether a commit of that application waits for the standby.
func (w *twins) waiting(application string) bool {
	var n int
	err := w.super.QueryRowContext(w.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'SyncRep'`, application).Scan(&n)
	return err == nil && n > 0
}

// cancelCommit begins a commit that waits for the standby and ends its context. The commit goes on waiting; its
// result comes once the standby is back.
func (w *twins) cancelCommit() <-chan error {
	w.Helper()
	const name = "impatient"
	db, err := store.Open(w.Context(), store.Config{URL: w.fleetDatabase, Name: name, Connections: 1})
	w.must(err)
	w.Cleanup(func() { db.Close() })
	ctx, cancel := context.WithCancel(w.Context())
	tx, err := db.Begin(ctx)
	w.must(err)
	sale := w.sale("impatient")
	_, err = eventlog.Admit(ctx, tx, []event.Any{sale}, true)
	w.must(err)
	committed := make(chan error, 1)
	go func() { committed <- tx.Commit() }()
	w.soon(limit, "the commit waits", func() bool { return w.waiting(name) })
	cancel()
	select {
	case err := <-committed:
		w.Errorf("a commit whose context ends while it waits for the standby returns %v: the standby lacks it", err)
		committed <- err
	case <-time.After(2 * time.Second): // In which a cancellation would have come through.
	}
	w.note(sale)
	return committed
}

// promote makes the standby the primary, and super its superuser.
func (w *twins) promote() {
	w.Helper()
	w.must(w.standby.Promote(w.Context()))
	w.super = w.second
}

// awaitReplay returns when the standby has all that the primary has written.
func (w *twins) awaitReplay() {
	w.Helper()
	var written string
	w.must(w.super.QueryRowContext(w.Context(), `SELECT pg_current_wal_lsn()::text`).Scan(&written))
	w.soon(limit, "the standby has replayed everything", func() bool {
		var done bool
		return w.second.QueryRowContext(w.Context(), `SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn`, written).Scan(&done) == nil && done
	})
}

// cutStandby ends the replication for good.
func (w *twins) cutStandby() {
	w.Helper()
	for _, statement := range []string{`ALTER SYSTEM SET primary_conninfo = ''`, `SELECT pg_reload_conf()`} {
		_, err := w.second.ExecContext(w.Context(), statement)
		w.must(err)
	}
	w.soon(limit, "the standby follows no more", func() bool {
		var n int
		return w.super.QueryRowContext(w.Context(), `SELECT count(*) FROM pg_stat_replication`).Scan(&n) == nil && n == 0
	})
}

// admitSales admits that number of sales.
func (w *twins) admitSales(n int) (sales []event.Any) {
	w.Helper()
	for range n {
		sales = append(sales, w.sale("sold"))
		w.admit(w.Context(), sales[len(sales)-1])
	}
	return sales
}
