package faults_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/audit"
)

// limit is how long a recovery may take; of a cluster it may take twice as long.
const limit = 15 * time.Second

// pair is an environment on a private PostgreSQL and a private RabbitMQ.
type pair struct {
	*environment
	servers *local.Servers
	dir     string
	super   *sql.DB
}

// place is a directory that the servers' users can enter.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "composerp-faults-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := startPair(t)
	p.environment = newEnvironment(t, endpoints{
		// lock_timeout is half a second, and not ten.
		fleetDatabase: p.servers.DatabaseURL + "&lock_timeout=500", fleetExchange: []string{p.servers.AMQPURL},
		database: p.servers.DatabaseURL, exchange: []string{p.servers.AMQPURL}, management: p.servers.ManagementURL,
	})
	return p
}

// startPair starts the servers.
func startPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{dir: place(t)}
	p.servers = startServers(t, local.Config{Dir: p.dir})
	p.super = superuser(t, p.servers)
	return p
}

func startServers(t *testing.T, cfg local.Config) *local.Servers {
	t.Helper()
	cfg.Log, cfg.StartTimeout = slog.New(slog.DiscardHandler), localtest.Deadline(2*time.Minute)
	servers, err := local.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servers.Discard(context.Background()) })
	return servers
}

func superuser(t *testing.T, servers *local.Servers) *sql.DB {
	t.Helper()
	super, err := servers.Superuser()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { super.Close() })
	return super
}

// exec does as the superuser.
func (p *pair) exec(statement string, args ...any) {
	p.Helper()
	if _, err := p.super.ExecContext(p.Context(), statement, args...); err != nil {
		p.Fatalf("%s: %v", statement, err)
	}
}

// begin opens a superuser's transaction, which no idle timeout ends.
func (p *pair) begin() *sql.Tx {
	p.Helper()
	tx, err := p.super.BeginTx(p.Context(), nil)
	p.must(err)
	return tx
}

// TestServers breaks each server of a pair in every way, under one fleet.
func TestServers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	p := newPair(t)
	p.run(p.fleet()...)
	p.speak()
	p.breakStatements()
	p.breakDatabase()
	p.breakBroker()
	p.rest(audit.Proven)
	p.loseQueues()
}

func (p *pair) breakBroker() {
	p.Helper()
	gone := func(sig syscall.Signal) func() func() {
		return func() func() {
			p.must(p.servers.Halt(p.Context(), local.RabbitMQ, sig))
			p.soon(limit, "no worker consumes", p.noneConsumes)
			return func() { p.must(p.servers.Revive(p.Context(), local.RabbitMQ)) }
		}
	}
	p.survive("the broker is killed", limit, gone(syscall.SIGKILL))
	p.survive("the broker is restarted", limit, gone(syscall.SIGTERM))
	p.survive("the broker stands still for longer than the heartbeat", limit, func() func() {
		p.must(p.servers.Signal(local.RabbitMQ, syscall.SIGSTOP))
		p.soon(limit, "no worker consumes", p.noneConsumes)
		return func() { p.must(p.servers.Signal(local.RabbitMQ, syscall.SIGCONT)) }
	})
}

// loseQueues takes the broker's disk away while what the log had is in its queues, and nowhere else.
func (p *pair) loseQueues() {
	p.Helper()
	p.halt()
	p.run() // The relay alone.
	const lost = 100
	for range lost {
		p.admit(p.Context(), p.sale("lost"))
	}
	p.soon(limit, "all of them are in the queues", func() bool {
		log, err := eventlog.ReadState(p.Context(), p.db, "")
		return err == nil && log.Unpublished == 0
	})
	p.halt()
	p.emptyBroker()
	p.run(p.fleet()...)
	p.wantUnhandled(p.rest(audit.Findings), lost)
	p.republish()
	p.rest(audit.Proven)
	if n := p.unmoved(p.confirmed()); n != 0 {
		p.Errorf("%d events have not moved stock", n)
	}
}

// emptyBroker takes all that the broker has, and applies the topology to it.
func (p *pair) emptyBroker() {
	p.Helper()
	p.must(p.servers.Halt(p.Context(), local.RabbitMQ, syscall.SIGKILL))
	p.must(localtest.LoseBrokerData(p.dir))
	p.must(p.servers.Revive(p.Context(), local.RabbitMQ))
	p.apply()
}

// wantUnhandled holds a report to as many events that the ledger has not handled.
func (p *pair) wantUnhandled(report audit.Report, lost int64) {
	p.Helper()
	for _, c := range report.Checks {
		if c.Name == "handled" && (c.Wrong != lost || !strings.Contains(c.Findings[0].String(), "for ledger: neither handled nor dead")) {
			p.Errorf("want the audit to name %d events that the ledger has not handled:\n%s", lost, report.Table())
		}
	}
}

// republish publishes again what the log holds and the ledger has not handled.
func (p *pair) republish() {
	p.Helper()
	session, err := rabbitmq.Open(p.Context(), p.outside("republish"))
	p.must(err)
	defer session.Close()
	publisher, err := session.Publisher(16)
	p.must(err)
	rows, err := p.look.QueryContext(p.Context(), `SELECT e.seq, e.event_id::text, e.type, e.body FROM event_log e WHERE e.type = 'SALE_COMPLETED'
		AND NOT EXISTS (SELECT FROM inbox i JOIN consumer c ON c.id = i.consumer WHERE c.name = 'ledger' AND i.event_id = e.event_id) ORDER BY e.seq`)
	p.must(err)
	defer rows.Close()
	for rows.Next() {
		var seq int64
		m := rabbitmq.Message{Exchange: topology.Events, RoutingKey: "integration.sale_completed"}
		p.must(rows.Scan(&seq, &m.ID, &m.Type, &m.Body))
		m.Headers = map[string]any{rabbitmq.HeaderLogSeq: seq}
		c, err := publisher.Publish(p.Context(), m)
		p.must(err)
		p.must(c.Wait(p.Context()))
	}
	p.must(rows.Err())
}

// dataDir is PostgreSQL's own, and whose it is.
func (p *pair) dataDir() (path string, uid, gid int) {
	p.Helper()
	path = filepath.Join(p.dir, "postgres", "data")
	info, err := os.Stat(path)
	p.must(err)
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		p.Fatal(fmt.Errorf("whose %s is cannot be told", path))
	}
	return path, int(owner.Uid), int(owner.Gid)
}
