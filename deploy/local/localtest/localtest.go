// Package localtest gives tests a PostgreSQL and a RabbitMQ: those named by the environment, or else a private pair for
// the test binary.
//
// The private pair belongs to a supervisor: a second process of the same program, which starts the servers, says where
// they are, and kills them and deletes their directory when its standard input ends. The input is a pipe whose other
// end the test binary holds and never closes, so the kernel closes it, however the test ends: by passing, os.Exit, a
// panic, a timeout or SIGKILL. No TestMain is needed, and nothing is left behind. When it is the supervisor that is
// killed, the servers go with it, and only a directory in the system's temporary directory stays.
//
// # Deadlines
//
// A test that waits says how long that takes at most on a quiet machine of two cores. Deadline makes it as many times
// as long as this machine is slow, at most ten times: each process does a fixed piece of work once and looks at the
// clock. Eventually and Receive wait so, and their failure says in one line whether the machine or the product was too
// slow. What the product is given as a limit or an interval is not scaled, unless the test fails of its shortness
// alone.
package localtest

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/composerp/composerp/deploy/local"
)

// The variables that name servers to test against. All three go together; withservers sets them for a whole `go test
// ./...`.
const (
	DatabaseVariable   = "COMPOSERP_TEST_DATABASE_URL"
	AMQPVariable       = "COMPOSERP_TEST_AMQP_URL"
	ManagementVariable = "COMPOSERP_TEST_MANAGEMENT_URL"
)

// Database returns the address of a PostgreSQL whose role may create databases. Of the private pair it starts this
// server alone.
func Database(t testing.TB) string {
	t.Helper()
	if address := os.Getenv(DatabaseVariable); address != "" {
		return address
	}
	return private(t, &privatePostgres).DatabaseURL
}

// Broker returns the addresses of a RabbitMQ: AMQPURL, and ManagementURL of a user who may create virtual hosts.
// PrometheusURL is empty when the environment named the servers. Of the private pair it starts this server alone.
func Broker(t testing.TB) local.Endpoints {
	t.Helper()
	if amqp, management := os.Getenv(AMQPVariable), os.Getenv(ManagementVariable); amqp != "" && management != "" {
		return local.Endpoints{AMQPURL: amqp, ManagementURL: management}
	}
	return private(t, &privateBroker)
}

// Servers returns both.
func Servers(t testing.TB) local.Endpoints {
	t.Helper()
	var at local.Endpoints
	var both sync.WaitGroup
	// Database and Broker may end the test, which only its own goroutine may: the other one here only warms up.
	both.Go(func() { privateBroker.get() })
	at.DatabaseURL = Database(t)
	both.Wait()
	broker := Broker(t)
	at.AMQPURL, at.ManagementURL, at.PrometheusURL = broker.AMQPURL, broker.ManagementURL, broker.PrometheusURL
	return at
}

// AnotherDatabase starts a PostgreSQL of t's own, which ends with it: a test may break it, or needs a second server.
func AnotherDatabase(t testing.TB) string {
	t.Helper()
	pair, err := Start(t.Context(), local.Config{PostgresOnly: true})
	if err != nil {
		t.Fatalf("starting another PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := pair.Stop(); err != nil {
			t.Errorf("stopping it: %v", err)
		}
	})
	return pair.DatabaseURL
}

// PostgresProgram is the path of a program that comes with PostgreSQL: pg_dump.
func PostgresProgram(t testing.TB, name string) string {
	t.Helper()
	newest := ""
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"} {
		if found, _ := filepath.Glob(filepath.Join(pattern, name)); len(found) > 0 {
			newest = found[len(found)-1]
		}
	}
	path, err := exec.LookPath(cmp.Or(newest, name))
	if err != nil {
		t.Fatalf("%s of PostgreSQL: %v: run `make setup`, or `apt-get install postgresql`", name, err)
	}
	return path
}

// lazy starts one private server once for the whole test binary.
type lazy struct {
	cfg  local.Config
	once sync.Once
	pair *Pair
	err  error
}

var (
	privatePostgres = lazy{cfg: local.Config{PostgresOnly: true}}
	privateBroker   = lazy{cfg: local.Config{BrokerOnly: true}}
)

func (l *lazy) get() (*Pair, error) {
	l.once.Do(func() { l.pair, l.err = Start(context.Background(), l.cfg) })
	return l.pair, l.err
}

func private(t testing.TB, l *lazy) local.Endpoints {
	t.Helper()
	pair, err := l.get()
	if err != nil {
		t.Fatalf("starting servers for the tests: %v", err)
	}
	return pair.Endpoints
}

// LoseBrokerData deletes everything that the RabbitMQ of a directory has on its disk but its configuration: queues,
// messages, exchanges, bindings, virtual hosts. It must be down. Servers.Revive then makes an empty broker with the
// same user, password and virtual host.
func LoseBrokerData(dir string) error {
	home := filepath.Join(dir, "rabbitmq")
	return errors.Join(os.RemoveAll(filepath.Join(home, "mnesia")), os.RemoveAll(filepath.Join(home, "feature_flags")))
}
