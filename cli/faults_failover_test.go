package cli_test

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store/storetest"
)

// TestAPrimaryThatFallsSilent pulls the cable between a fleet and its primary, kills the primary and promotes the
// standby. No connection is closed and no host refuses one: the fleet notices by what is not acknowledged, and comes
// past the silent host to the standby.
func TestAPrimaryThatFallsSilent(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	primary := startDatabase(t, local.Config{})
	standby := startDatabase(t, local.Config{Follows: primary})
	h := &environment{T: t, dir: t.TempDir(), broker: rabbitmqtest.Vhost(t), database: withHosts(t, primary.DatabaseURL, true, primary.DatabaseURL, standby.DatabaseURL)}
	h.env = h.variables()
	super, err := primary.Superuser()
	storetest.Must(t, err)
	defer super.Close()
	for _, statement := range []string{`ALTER SYSTEM SET synchronous_standby_names = '` + local.StandbyName + `'`, `SELECT pg_reload_conf()`} {
		_, err := super.ExecContext(t.Context(), statement)
		storetest.Must(t, err)
	}

	o := h.newHost()
	toPrimary := o.plugIn()
	o.env = o.variablesOver(withHosts(t, primary.DatabaseURL, false, toPrimary.reach(primary.DatabaseURL), o.cables[0].reach(standby.DatabaseURL)))
	o.start(" is up\n", "up", "--dir", t.TempDir())
	h.sell(200)
	h.until("all has had its effect", func() bool { return h.soldOnce() == 200 })

	toPrimary.pull()
	silent := time.Now()
	storetest.Must(t, primary.Halt(t.Context(), local.PostgreSQL, syscall.SIGKILL))
	storetest.Must(t, standby.Promote(t.Context()))
	h.sell(200)
	h.until("all has had its effect", func() bool { return h.soldOnce() == 400 })
	if took := time.Since(silent); took > localtest.Deadline(45*time.Second) {
		t.Errorf("the fleet went on %s after its primary had fallen silent", took)
	} else {
		t.Logf("the fleet went on %s after its primary had fallen silent", took)
	}
	h.proven()
	o.fleet.stop(t)
}

func startDatabase(t *testing.T, cfg local.Config) *local.Servers {
	t.Helper()
	dir, err := os.MkdirTemp("", "composerp-failover-")
	storetest.Must(t, err)
	storetest.Must(t, os.Chmod(dir, 0o711))
	cfg.Dir, cfg.PostgresOnly, cfg.Log, cfg.StartTimeout = dir, true, slog.New(slog.DiscardHandler), localtest.Deadline(2*time.Minute)
	servers, err := local.Start(t.Context(), cfg)
	storetest.Must(t, err)
	t.Cleanup(func() { servers.Discard(context.Background()) })
	return servers
}

// withHosts is a database's URL with the hosts of others; of these the one that takes writes is wanted. The driver by
// itself reads several hosts with ports as parameters alone.
func withHosts(t *testing.T, database string, asParameters bool, others ...string) string {
	t.Helper()
	u, err := url.Parse(database)
	storetest.Must(t, err)
	var addresses, hosts, ports []string
	for _, other := range others {
		at, err := url.Parse(other)
		storetest.Must(t, err)
		addresses, hosts, ports = append(addresses, at.Host), append(hosts, at.Hostname()), append(ports, at.Port())
	}
	q := u.Query()
	q.Set("target_session_attrs", "read-write")
	u.Host = strings.Join(addresses, ",")
	if asParameters {
		u.Host = ""
		q.Set("host", strings.Join(hosts, ","))
		q.Set("port", strings.Join(ports, ","))
	}
	u.RawQuery = q.Encode()
	return u.String()
}
