package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
)

// probe runs a command line of an app whose only command tells what its settings are.
func probe(t *testing.T, args ...string) (map[string]settings.Value, error) {
	t.Helper()
	got := map[string]settings.Value{}
	app := newApp(nil, nil, nil)
	app.Commands = []*cli.Command{{Name: "probe", Flags: settings.Flags(), OnUsageError: app.OnUsageError, Action: checked(func(cctx *cli.Context) error {
		for _, s := range settings.All {
			v, err := settings.Configured(cctx).Value(s)
			if err != nil {
				return err
			}
			if v.Text != "" && cctx.String(s.Name) != v.Text {
				t.Errorf("--%s is %q, and the setting %q", s.Name, cctx.String(s.Name), v.Text)
			}
			if v.Text == "" {
				v.Text = cctx.String(s.Name)
			}
			got[s.Name] = v
		}
		return nil
	})}}
	err := app.RunContext(t.Context(), permute(app, append([]string{"composerp", "probe"}, args...)))
	return got, err
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Not parallel: it sets the environment.
func TestWhereASettingComesFrom(t *testing.T) {
	for _, s := range settings.All {
		t.Setenv(s.Variable(), "")
		t.Setenv(s.Variable()+"_FILE", "")
	}
	dir := t.TempDir()
	file := write(t, dir, "c.yaml", "tenant: of-file\namqp_url:\n  - amqp://one\n  - amqp://two\nslots: {default: 2, ledger: 4}\ndir: data\n")
	secret := write(t, dir, "secret", "of-secret\n")
	check := func(name, text, origin string, args ...string) {
		t.Helper()
		got, err := probe(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		if v := got[name]; v.Text != text || v.Origin != origin {
			t.Errorf("%s is %q from %q, want %q from %q", name, v.Text, v.Origin, text, origin)
		}
	}
	check(settings.FlagTenant, "default", "")
	t.Setenv("COMPOSERP_CONFIG", file)
	check(settings.FlagTenant, "of-file", file+":1")
	check(settings.FlagAMQP, "amqp://one,amqp://two", file+":2")
	check(settings.FlagSlots, "2,ledger=4", file+":5")
	check(settings.FlagDir, filepath.Join(dir, "data"), file+":6")
	t.Setenv("COMPOSERP_TENANT_FILE", secret)
	check(settings.FlagTenant, "of-secret", "$COMPOSERP_TENANT_FILE, "+secret)
	t.Setenv("COMPOSERP_TENANT", "of-env")
	check(settings.FlagTenant, "of-env", "$COMPOSERP_TENANT")
	check(settings.FlagTenant, "of-flag", "--tenant", "--tenant", "of-flag")
	check(settings.FlagTenant, "of-env", "$COMPOSERP_TENANT", "--tenant", "")

	other := write(t, dir, "other.yaml", "log_level: debug\n")
	check(settings.FlagLogLevel, "debug", other+":1", "--config", other)
	t.Chdir(dir)
	t.Setenv("COMPOSERP_CONFIG", "")
	check(settings.FlagLogLevel, "warn", "")
	write(t, dir, settings.DefaultConfigFile, "# mine\nlog_level: info\n")
	check(settings.FlagLogLevel, "info", "composerp.yaml:2")
}

func TestConfigurationFilesThatAreWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ content, says string }{
		{"log_level: warn\nlog_levle: info\n", `:2: unknown key "log_levle"; did you mean "log_level"?`},
		{"database-url: x\n", `:1: unknown key "database-url"; did you mean "database_url"?`},
		{"config: x\n", `:1: unknown key "config"`},
		{"\ndatabase_url: 7\n", ":2: database_url: want a text, got a number"},
		{"amqp_url: {a: b}\n", ":1: amqp_url: want a text or a list of texts, got a mapping"},
		{"amqp_url: [a, [b]]\n", ":1: amqp_url: want a text, got a list"},
		{"slots: true\n", ":1: slots: want a number, or a mapping of workers to numbers, got true or false"},
		{"slots: {ledger: two}\n", ":1: slots: want a number for ledger, got a text"},
		{"slots: {ledgr: 2}\n", `:1: slots: "ledgr=2": there is no worker "ledgr"`},
		{"slots: 100\n", ":1: slots: "},
		{"log_level: loud\n", ":1: log_level: \"loud\": want debug, info, warn or error"},
		{"alert_url: nowhere\n", ":1: alert_url: \"nowhere\": want a URL"},
		{"- a\n", ":1: want lines such as"},
		{"tenant\n", ":1: want lines such as"},
		{"tenant: a\ntenant: b\n", ":2: this is not YAML"},
		{"tenant: [a\n", ":1: this is not YAML"},
		{"tenant: a\n---\ntenant: b\n", "one YAML document"},
	} {
		path := write(t, dir, "wrong.yaml", c.content)
		r := command(t, "up", "--config", path, "--dir", filepath.Join(dir, "none"))
		if r.code != exit.WrongConfiguration || !strings.Contains(r.errors, path+c.says) && !strings.Contains(r.errors, c.says) || strings.Count(r.errors, "\n") != 1 {
			t.Errorf("%q: exit %d, says %q, want %q", c.content, r.code, r.errors, c.says)
		}
	}
	if r := command(t, "stock", "--config", filepath.Join(dir, "none.yaml")); r.code != exit.WrongConfiguration || !strings.Contains(r.errors, "no such file") {
		t.Errorf("a file that is not there: exit %d, %s", r.code, r.errors)
	}
}

// What a flag reads from the environment without being a setting could not be put into the file, and doctor would not
// show it.
func TestTheEnvironmentIsReadBySettingsAlone(t *testing.T) {
	t.Parallel()
	each(newApp(nil, nil, nil).Commands, func(c *cli.Command) {
		for _, f := range c.Flags {
			_, isSetting := f.(settings.Flag)
			reads, ok := f.(cli.DocGenerationFlag)
			if ok && !isSetting && len(reads.GetEnvVars()) > 0 {
				t.Errorf("--%s of %s reads %v: make it a line of settings, in settings.go", f.Names()[0], c.Name, reads.GetEnvVars())
			}
		}
	})
}

func TestSettingsOfTheServersCoverTheFile(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range settings.All {
		if slices.Contains(names, s.Name) || s.Usage == "" {
			t.Errorf("%s stands twice, or says nothing", s.Name)
		}
		names = append(names, s.Name)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://u:secret@h/d":                    "postgres://u:xxxxx@h/d",
		"postgres://u@h/d?password=secret&sslmode=a": "postgres://u@h/d?password=xxxxx&sslmode=a",
		"postgres://h/d":                             "postgres://h/d",
		"amqp://u:secret@a,amqp://u:secret@b/v":      "amqp://u:xxxxx@a,amqp://u:xxxxx@b/v",
		"amqp://u:12,secret@a,amqp://u:s,t@b/v":      "amqp://u:xxxxx@a,amqp://u:xxxxx@b/v",
		"amqp://u:@a, amqps://u:secret@b":            "amqp://u:xxxxx@a,amqps://u:xxxxx@b",
		"postgres://u:secret@h1:1,h2:2/d":            "postgres://u:xxxxx@h1:1,h2:2/d",
		"postgres://u@h/d?sslpassword=secret":        "postgres://u@h/d?sslpassword=xxxxx",
		"https://h:9093/?access_Token=secret":        "https://h:9093/?access_Token=xxxxx",
		"host=h password=secret":                     "xxxxx (no URL)",
		"postgres://u:secret%zz@h":                   "xxxxx (no URL)",
	} {
		if got := settings.WithoutPassword(given); got != want {
			t.Errorf("%s is shown as %s, want %s", given, got, want)
		}
	}
	for given, want := range map[string]string{
		"https://h/services/secret":  "https://h/xxxxx",
		"https://u:secret@h/":        "https://u:xxxxx@h/",
		"https://h/?password=secret": "https://h/xxxxx",
		"https://h?token=secret":     "https://h/xxxxx",
	} {
		if got := settings.HostOnly(given); got != want {
			t.Errorf("%s is shown as %s, want %s", given, got, want)
		}
	}
}

// A secret that is refused is not quoted.
func TestARefusedSecretIsNotQuoted(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--page-token", "--webhook-secret"} {
		r := command(t, "worker", "run", flag, "hunter2", "all")
		if r.code != exit.WrongUsage || !strings.Contains(r.errors, flag) || strings.Contains(r.errors, "hunter2") {
			t.Errorf("%s: exit %d, %s", flag, r.code, r.errors)
		}
	}
}

// An error quotes a line at most, whatever a file holds: here a file of rows stands where a YAML file belongs.
func TestErrorsDoNotQuoteFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"csv":            strings.Repeat("S1,2026-02-09,85123A,WHITE HANGING HEART,6,2.55\n", 9000),
		"one line":       strings.Repeat("x", 1<<20),
		"no YAML":        strings.Repeat("a: [\n", 9000),
		"a long value":   "tenant: t\nsource: s\ntimestamp: t\nrules: " + strings.Repeat("y", 1<<20),
		"a long key":     strings.Repeat("k", 1<<20) + ": 1\n",
		"JSON":           `{"a": "` + strings.Repeat("z", 1<<20) + `"}`,
		"a long setting": "log_level: " + strings.Repeat("w", 1<<20) + "\n",
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"import", file, "--map", file, "--dry-run", "--dir", dir, "--database-url", "postgres://a@127.0.0.1:1/x"},
			{"version", "--config", file}, {"doctor", "--show-config", "--config", file, "--dir", dir},
			{"publish", "SALE_COMPLETED", "--data", content[:min(len(content), 100_000)], "--dir", dir},
		} {
			r := command(t, args...)
			if len(r.errors) > 1100 || strings.Count(r.errors, "\n") > 1 {
				t.Errorf("%s, %s: %d bytes of error: %.300s", args[0], name, len(r.errors), r.errors)
			}
		}
	}
}
