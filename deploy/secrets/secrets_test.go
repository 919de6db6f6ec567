package secrets_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/exchange/topology/topologytest"
	"github.com/composerp/composerp/store/grants"
)

var servers = secrets.Servers{
	Database: "postgres://owner:geheim@db1,db2/erp?sslmode=verify-full", AMQP: "amqps://any:x@mq1/erp?cacertfile=/ca.pem,amqps://mq2/erp", Management: "https://any:x@mq1:15671",
}

func file(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileThatIsMadeCanBeRead(t *testing.T) {
	t.Parallel()
	subs := topologytest.Fleet()
	made := secrets.Make(servers, subs, func(user string) string { return "p/" + user })
	read, err := secrets.Read(file(t, "# a comment\n\n"+made.Text(subs), 0o640))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range secrets.Keys(subs) {
		if read[key] == "" || read[key] != made[key] {
			t.Errorf("%s is %q, want %q", key, read[key], made[key])
		}
	}
	for key, want := range map[string]string{
		"AMQP_URL_WORKER_LEDGER":    "amqps://composerp-worker-ledger:p%2Fcomposerp-worker-ledger@mq1/erp?cacertfile=/ca.pem,amqps://composerp-worker-ledger:p%2Fcomposerp-worker-ledger@mq2/erp",
		"MANAGEMENT_URL_MONITORING": "https://composerp-monitoring:p%2Fcomposerp-monitoring@mq1:15671",
		"DATABASE_URL_WORKER":       "postgres://composerp_worker:p%2Fcomposerp_worker@db1,db2/erp?sslmode=verify-full",
		"DATABASE_URL_MIGRATOR":     servers.Database,
	} {
		if read[key] != want {
			t.Errorf("%s is %q, want %q", key, read[key], want)
		}
	}
	if login := read.Logins(subs)[roles.Worker("ledger")]; login != (roles.Login{User: "composerp-worker-ledger", Password: "p/composerp-worker-ledger"}) {
		t.Errorf("the ledger logs in as %+v", login)
	}
	if got := read.Passwords()[grants.Reader]; got != "p/composerp_reader" {
		t.Errorf("the reader's password is %q", got)
	}
}

// The publisher is outside of the fleet: what it claims about a message is not believed.
func TestThePublisherIsNotOfTheFleet(t *testing.T) {
	t.Parallel()
	subs := topologytest.Fleet()
	urls := secrets.URLs{secrets.AMQP(roles.Publisher): "amqp://till:x@mq/erp", secrets.AMQP(roles.Relay): "amqp://our-relay:x@mq/erp"}
	fleet := urls.Fleet(subs)
	for _, user := range []string{"composerp-relay", "our-relay", "composerp-operator", "composerp-worker-ledger"} {
		if !slices.Contains(fleet, user) {
			t.Errorf("%s is not of the fleet %q", user, fleet)
		}
	}
	for _, user := range []string{"till", "composerp-publisher", "composerp-monitoring"} {
		if slices.Contains(fleet, user) {
			t.Errorf("%s is of the fleet", user)
		}
	}
}

func TestAFileIsRefusedWithItsLineAndWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	const good = "AMQP_URL_RELAY=amqp://relay:geheim@mq/erp\n"
	for _, c := range []struct {
		text, want string
		mode       os.FileMode
	}{
		{good, "chmod 600", 0o644},
		{good, "chmod 600", 0o620},
		{good + "geheim\n", "line 2: want KEY=URL", 0o600},
		{good + "AMQP_URL_RELAIS=amqp://geheim:geheim@mq/erp\n", "line 2: there is no key AMQP_URL_RELAIS", 0o600},
		{good + "AMQP_URL_WORKER_=amqp://geheim:geheim@mq/erp\n", "line 2: there is no key", 0o600},
		{good + good, "line 2: AMQP_URL_RELAY stands there a second time", 0o600},
		{"AMQP_URL_RELAY=geheim\n", "line 1: AMQP_URL_RELAY is no URL with a user", 0o600},
		{"AMQP_URL_RELAY=amqp://%zz:geheim@mq\n", "line 1: AMQP_URL_RELAY is no URL with a user", 0o600},
	} {
		_, err := secrets.Read(file(t, c.text, c.mode))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q, mode %o: %v, want %q", c.text, c.mode, err, c.want)
		}
	}
	if _, err := secrets.Read(file(t, good, 0o600)); err != nil {
		t.Errorf("a good file is refused: %v", err)
	}
}

// A key is a worker's name in capitals: no two workers may share one.
func TestKeysAreUnique(t *testing.T) {
	t.Parallel()
	keys := secrets.Keys(append(topologytest.Fleet(), topology.Subscription{Worker: "a-b"}))
	slices.Sort(keys)
	if len(slices.Compact(slices.Clone(keys))) != len(keys) || !slices.Contains(keys, "AMQP_URL_WORKER_A_B") {
		t.Errorf("keys: %q", keys)
	}
}
