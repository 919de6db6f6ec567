package cli

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store/storetest"
)

type outcome struct {
	code        int
	out, errors string
}

// oneParse is locked while a command runs under the race detector: urfave/cli writes its own package variables when it
// parses, once a process but for these tests.
var oneParse sync.Locker

// command runs a command line in this process, in an empty directory.
func command(t *testing.T, args ...string) outcome {
	t.Helper()
	if oneParse != nil {
		oneParse.Lock()
		defer oneParse.Unlock()
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), append([]string{"composerp"}, args...), strings.NewReader(""), &out, &errs)
	return outcome{code, out.String(), errs.String()}
}

// leaves are the command lines of all commands that do something.
func leaves() [][]string {
	var all [][]string
	var walk func(path []string, commands []*cli.Command)
	walk = func(path []string, commands []*cli.Command) {
		for _, c := range commands {
			if c.Name == "help" {
				continue
			}
			here := append(append([]string{}, path...), c.Name)
			if len(c.Subcommands) > 0 {
				walk(here, c.Subcommands)
				continue
			}
			all = append(all, here)
		}
	}
	walk(nil, newApp(nil, nil, nil).Commands)
	return all
}

func TestEveryCommandRefusesAnArgumentThatLooksLikeAFlag(t *testing.T) {
	t.Parallel()
	if len(leaves()) < 14 {
		t.Fatalf("only %d commands found", len(leaves()))
	}
	for _, path := range leaves() {
		r := command(t, append(append([]string{}, path...), "--", "--dir")...)
		if r.code != exit.WrongUsage || !strings.Contains(r.errors, `"--dir"`) {
			t.Errorf("%s -- --dir: exit %d, %s", strings.Join(path, " "), r.code, r.errors)
		}
		r = command(t, append(append([]string{}, path...), "--no-such-flag")...)
		if r.code != exit.WrongUsage || !strings.Contains(r.errors, "no-such-flag") {
			t.Errorf("%s --no-such-flag: exit %d, %s", strings.Join(path, " "), r.code, r.errors)
		}
	}
}

func TestEveryCommandHelps(t *testing.T) {
	t.Parallel()
	for _, path := range leaves() {
		r := command(t, append(append([]string{}, path...), "--help")...)
		if r.code != exit.OK || !strings.Contains(r.out, "USAGE") {
			t.Errorf("%s --help: exit %d, %s%s", strings.Join(path, " "), r.code, r.out, r.errors)
		}
	}
}

func TestFlagsMayFollowArguments(t *testing.T) {
	t.Parallel()
	app := newApp(nil, nil, nil)
	for _, c := range []struct{ typed, meant string }{
		{"import FILE --map m.yaml", "import --map m.yaml FILE"},
		{"import FILE -m m.yaml -o json", "import -m m.yaml -o json FILE"},
		{"import FILE --map=m.yaml --dry-run", "import --map=m.yaml --dry-run FILE"},
		{"worker run ledger --slots 2 intake", "worker run --slots 2 ledger intake"},
		{"publish SALE_COMPLETED --data - --id x", "publish --data - --id x SALE_COMPLETED"},
		{"import -- --odd", "import -- --odd"},
		{"--config x worker list -o json", "worker list --config x -o json"},
		{"worker --config=x list", "worker list --config=x"},
		{"--dir x stock --low", "stock --dir x --low"},
		{"--config x worker", "--config x worker"},
		{"--config x", "--config x"},
		{"stock", "stock"},
	} {
		got := strings.Join(permute(app, append([]string{"composerp"}, strings.Fields(c.typed)...))[1:], " ")
		if got != c.meant {
			t.Errorf("%q is read as %q, want %q", c.typed, got, c.meant)
		}
	}
}

// Exit codes and what is said, for everything that can be typed wrong without a server.
func TestWrongUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"no-such", exit.WrongUsage, `no command "no-such"`},
		{"worker lits", exit.WrongUsage, `did you mean "list"?`},
		{"worker list item", exit.WrongUsage, "takes no argument"},
		{"scale", exit.WrongUsage, "composerp scale ledger=4"},
		{"scale ledger", exit.WrongUsage, "want WORKER=N"},
		{"scale legder=4", exit.WrongUsage, `did you mean "ledger"?`},
		{"scale ledger=-1", exit.WrongUsage, "0 to 1000"},
		{"scale ledger=1 ledger=2", exit.WrongUsage, "ledger is there twice"},
		{"scale ledger=1 --for 0s", exit.WrongUsage, "want a time above 0"},
		{"worker pause legder", exit.WrongUsage, `did you mean "ledger"?`},
		{"worker describe", exit.WrongUsage, "name one queue"},
		{"worker drain", exit.WrongUsage, "worker list --nodes"},
		{"limit supplier 2", exit.WrongUsage, "want scheme, host and port"},
		{"limit https://supplier.example 0", exit.WrongUsage, "1 to 10000, or none"},
		{"limit https://supplier.example 1 2", exit.WrongUsage, `got "2" too`},
		{"log operator --since yesterday", exit.WrongUsage, "want a time such as"},
		{"log operators", exit.WrongUsage, `did you mean "operator"?`},
		{"stock item", exit.WrongUsage, `no command "item"`},
		{"stock -o yaml", exit.WrongUsage, "want table or json"},
		{"topology show -o yaml", exit.WrongUsage, "want table or json"},
		{"import", exit.WrongUsage, "name one file"},
		{"import sales.csv", exit.WrongUsage, "--map is missing"},
		{"import sales.csv --map no-such.yaml", exit.WrongConfiguration, "no-such.yaml"},
		{"import no-such.csv --map ../deploy/demo/online-retail.yaml", exit.WrongUsage, "reading no-such.csv: no such file"},
		{"stock --outptu json", exit.WrongUsage, `unknown flag --outptu; did you mean "--output"?`},
		{"audit --wait 5", exit.WrongUsage, "want a time such as"},
		{"version --output", exit.WrongUsage, "--output needs a value"},
		{"--log-level debug version", exit.WrongUsage, "composerp version --help"},
		{"up --database-url postgres://x", exit.WrongConfiguration, "only one is given"},
		{"topology diff", exit.WrongConfiguration, "composerp up"},
		{"topology export --amqp-url x", exit.WrongConfiguration, "amqp://"},
		{"doctor --log-level loud", exit.WrongUsage, "want debug, info, warn or error"},
		{"publish", exit.WrongUsage, "name one type"},
		{"publish SALE --data {}", exit.WrongUsage, "SALE_COMPLETED"},
		{"publish INVENTORY_UPDATED --data {}", exit.WrongUsage, "is not an external type"},
		{"publish SALE_COMPLETED", exit.WrongUsage, "--data is missing"},
		{"publish SALE_COMPLETED --data nonsense", exit.WrongUsage, "not a JSON object"},
		{"publish SALE_COMPLETED --data @no-such-file", exit.WrongUsage, "no-such-file"},
		{"publish SALE_COMPLETED --data {} --id 7", exit.WrongUsage, "not a UUID"},
		{`publish SALE_COMPLETED --data {"saleId":"S1","itemId":"I","locationId":"L","quantity":"five","amount":1,"timestamp":"2026-01-01T00:00:00Z"}`, exit.Failure, "payload.quantity"},
		{"worker run", exit.WrongUsage, "name the workers"},
		{"worker run no-such", exit.WrongUsage, `no worker "no-such"`},
		{"worker run ledger --slots 0", exit.WrongUsage, "1 to 64"},
		{"worker run ledger --slots no-such=2", exit.WrongUsage, `no worker "no-such"`},
		{"up --log-level loud", exit.WrongUsage, "want debug, info, warn or error"},
		{"bench --runs 0", exit.WrongUsage, "at least 1 run"},
		{"stock", exit.WrongConfiguration, "composerp up"},
		{"audit", exit.WrongConfiguration, "composerp up"},
		{"migrate status", exit.WrongConfiguration, "composerp up"},
		{"topology apply", exit.WrongConfiguration, "composerp up"},
		{"stock --database-url mysql://x", exit.WrongConfiguration, "postgres://"},
		{"stock --database-url postgres://none@127.0.0.1:1/none", exit.ServerUnreachable, "127.0.0.1"},
		{"topology apply --amqp-url amqp://guest:guest@127.0.0.1:1/", exit.ServerUnreachable, "unreachable"},
		{"topology apply --amqp-url http://127.0.0.1", exit.WrongConfiguration, "amqp://"},
		{"down", exit.OK, "no fleet runs in"},
	} {
		args := strings.Fields(c.args)
		if takesFlag(args, settings.FlagDir) {
			args = append(args, "--"+settings.FlagDir, filepath.Join(dir, "none"))
		}
		r := command(t, args...)
		if r.code != c.code || !strings.Contains(r.errors, c.says) {
			t.Errorf("composerp %s: exit %d, want %d; says %q, want %q", c.args, r.code, c.code, r.errors, c.says)
		}
		if strings.Count(strings.TrimSpace(r.errors), "\n") > 0 {
			t.Errorf("composerp %s: says more than one line: %s", c.args, r.errors)
		}
	}
}

func takesFlag(args []string, name string) bool {
	here := topOf(newApp(nil, nil, nil))
	for _, a := range args {
		if !here.enter(a) {
			break
		}
	}
	return takesValue(here.flags, name)
}

func TestWrongPasswordsAreConfigurationAndStaySecret(t *testing.T) {
	t.Parallel()
	database := strings.Replace(storetest.URL(t), "composerp:", "composerp:s3cret-", 1)
	broker := strings.Replace(rabbitmqtest.Vhost(t).URLs[0], "composerp:", "composerp:s3cret-", 1)
	for _, args := range [][]string{
		{"migrate", "status", "--database-url", database},
		{"topology", "apply", "--amqp-url", broker},
	} {
		r := command(t, args...)
		if r.code != exit.WrongConfiguration || strings.Contains(r.errors+r.out, "s3cret") {
			t.Errorf("%s: exit %d: %s", args[0], r.code, r.errors)
		}
	}
}

func TestMissingMigrationSaysWhatToDo(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	storetest.Exec(t, database, `DROP SCHEMA public CASCADE`)
	storetest.Exec(t, database, `CREATE SCHEMA public`)
	r := command(t, "stock", "--database-url", database)
	if r.code != exit.WrongConfiguration || !strings.Contains(r.errors, "composerp migrate up") {
		t.Errorf("exit %d: %s", r.code, r.errors)
	}
	if r := command(t, "migrate", "up", "--database-url", database); r.code != exit.OK || !strings.Contains(r.out, "0001_log.sql") {
		t.Errorf("migrate up: exit %d: %s%s", r.code, r.out, r.errors)
	}
	var list []struct{ Applied bool }
	r = command(t, "migrate", "status", "-o", "json", "--database-url", database)
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) < 3 || !list[2].Applied {
		t.Errorf("migrate status: %v: %s", err, r.out)
	}
}

func TestMetricsThatCannotBeServedAreOneLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exit.WrongConfiguration, "in use", []string{"--metrics-addr", taken.Addr().String()}},
		{exit.WrongConfiguration, "on loopback alone", []string{"--metrics-addr", "0.0.0.0:0", "--metrics-with", "native,pprof"}},
		{exit.WrongUsage, "want native, pprof", []string{"--metrics-with", "profiles"}},
	} {
		r := command(t, append([]string{"up", "--dir", t.TempDir()}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.errors, c.want) || strings.Count(r.errors, "\n") != 1 {
			t.Errorf("%v: exit %d: %s", c.args, r.code, r.errors)
		}
	}
}

func TestPublishOnceAndAgain(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	data := filepath.Join(t.TempDir(), "sale.json")
	write := func(quantity string) {
		content := `{"saleId":"S1","itemId":"I","locationId":"L","quantity":` + quantity + `,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}`
		if err := os.WriteFile(data, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	publish := func() outcome {
		return command(t, "publish", "SALE_COMPLETED", "--data", "@"+data, "--id", "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a3d", "-o", "json", "--database-url", database)
	}
	write("6")
	if r := publish(); r.code != exit.OK || !strings.Contains(r.out, `"admitted"`) {
		t.Fatalf("exit %d: %s%s", r.code, r.out, r.errors)
	}
	if r := publish(); r.code != exit.OK || !strings.Contains(r.out, `"duplicate"`) {
		t.Errorf("again: exit %d: %s%s", r.code, r.out, r.errors)
	}
	write("7")
	if r := publish(); r.code != exit.Failure || !strings.Contains(r.errors, "other content") {
		t.Errorf("with other content: exit %d: %s%s", r.code, r.out, r.errors)
	}
}

func TestTopologyShowIsTheFleets(t *testing.T) {
	t.Parallel()
	var topology struct {
		Queues []struct{ Name string }
	}
	r := command(t, "topology", "show", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &topology); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	names := map[string]bool{}
	for _, q := range topology.Queues {
		names[q.Name] = true
	}
	for _, name := range []string{"composerp.ledger", "composerp.ledger.retry.1m", "composerp.intake.dead", "composerp.dead-letter-log", "composerp.unrouted"} {
		if !names[name] {
			t.Errorf("queue %s is not shown", name)
		}
	}
	if table := command(t, "topology", "show"); !strings.Contains(table.out, "composerp.events integration.sale_completed") {
		t.Errorf("the table shows no binding: %s", table.out)
	}
}

// Whatever else is wrong or missing, an unknown format is found before anything is done.
func TestEveryCommandKnowsItsFormats(t *testing.T) {
	t.Parallel()
	shows := Shows()
	want := regexp.MustCompile(`--output "xml": want table(, json)? or (nd)?json`)
	for _, path := range shows {
		if r := command(t, append(strings.Fields(path), "-o", "xml")...); r.code != exit.WrongUsage || r.out != "" || !want.MatchString(r.errors) {
			t.Errorf("%s -o xml: exit %d, %s%s", path, r.code, r.out, r.errors)
		}
	}
	if len(shows) == 0 {
		t.Error("no command shows anything")
	}
}
