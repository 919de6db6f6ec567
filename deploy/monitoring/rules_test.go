package monitoring_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/monitoring"
)

// Every alert fires at its series, and does not at others.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	promtool(t, "test", "rules", "../prometheus/tests/composerp.yaml")
	// The tests can fail: an alert that never fires is found.
	silent := []monitoring.Alert{monitoring.Alerts[0]}
	silent[0].Expr = "vector(0) > 1"
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yaml"), monitoring.Rules(silent))
	write(t, filepath.Join(dir, "tests.yaml"), monitoring.RuleTests(silent, "rules.yaml"))
	out, err := exec.CommandContext(t.Context(), "promtool", "test", "rules", filepath.Join(dir, "tests.yaml")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), silent[0].Name+" fires") {
		t.Errorf("promtool does not find an alert that never fires: %v\n%s", err, out)
	}
}

func TestRulesAndConfigurationAreValid(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "../prometheus/rules/composerp.yaml")
	promtool(t, "check", "config", "../prometheus/prometheus.yaml")
}

func TestAlertmanagersConfigurationIsValid(t *testing.T) {
	t.Parallel()
	run(t, "amtool", "prometheus-alertmanager", "check-config", "../alertmanager/alertmanager.yaml")
	raw, err := os.ReadFile("../alertmanager/alertmanager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []monitoring.Severity{monitoring.SeverityPage, monitoring.SeverityTicket} {
		if !strings.Contains(string(raw), `severity="`+string(s)+`"`) {
			t.Errorf("no route takes alerts of severity %s", s)
		}
	}
}

// Every alert has a page that says what to do, and every page an alert.
func TestAlertsHaveRunbooks(t *testing.T) {
	t.Parallel()
	const folder = "../../docs/howto/runbooks"
	pages, err := filepath.Glob(folder + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	without := map[string]bool{}
	for _, page := range pages {
		without[filepath.Base(page)] = true
	}
	for _, a := range monitoring.Alerts {
		name := a.Runbook() + ".md"
		raw, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Errorf("%s has no runbook: %v", a.Name, err)
			continue
		}
		if !strings.HasPrefix(string(raw), "# "+a.Name+"\n") {
			t.Errorf("%s is not titled %s", name, a.Name)
		}
		delete(without, name)
	}
	delete(without, "README.md")
	for name := range without {
		t.Errorf("%s is of no alert", name)
	}
}

// Without Prometheus there is an error that says how to get it, and with a broken one its reason.
func TestAPrometheusThatDoesNotStart(t *testing.T) {
	programs := t.TempDir()
	t.Setenv("PATH", programs)
	cfg := monitoring.ServerConfig{Dir: t.TempDir(), Fleet: "127.0.0.1:1", Brokers: []string{"127.0.0.1:1"}, Vhost: "composerp"}
	if _, err := monitoring.Start(t.Context(), cfg); !errors.Is(err, monitoring.ErrNotInstalled) || !strings.Contains(err.Error(), "apt-get install prometheus") {
		t.Errorf("without Prometheus: %v", err)
	}
	program := filepath.Join(programs, "prometheus")
	write(t, program, "#!/bin/sh\necho 'level=error err=\"opening storage failed\"'\nexit 1\n")
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := monitoring.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "opening storage failed") || strings.Contains(err.Error(), "\n") {
		t.Errorf("with one that ends: %v", err)
	}
	// The usual port is taken in the moment before it begins: it gets another one.
	write(t, program, `#!/bin/sh
case "$*" in
*:9090*) echo 'err="listen tcp 127.0.0.1:9090: bind: address already in use"' ;;
*) echo 'err="started at another port"' ;;
esac
exit 1
`)
	if _, err := monitoring.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "started at another port") {
		t.Errorf("with a port that is taken: %v", err)
	}
}

// The exporter of a broker of one's own is at its usual port.
func TestTheExporterOfABroker(t *testing.T) {
	t.Parallel()
	for amqp, want := range map[string]string{
		"amqp://user:password@broker.example/composerp": "broker.example:15692", "amqps://[::1]:5671": "[::1]:15692", "nonsense": "", "amqp://%zz:secret@x": "",
	} {
		got, err := monitoring.BrokerAddress(amqp)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("of %s: %q, %v; want %q", amqp, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error has the password: %v", err)
		}
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	run(t, "promtool", "prometheus", args...)
}

// run runs a program of a Debian package.
func run(t *testing.T, program, packaged string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: run `make setup-tests`, or `apt-get install %s`", err, packaged)
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
