package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// probe runs a command line of an app whose only command tells what its settings are.
func probe(t *testing.T, args ...string) (map[string]value, error) {
	t.Helper()
	got := map[string]value{}
	app := newApp(nil, nil, nil)
	app.Commands = []*cli.Command{{Name: "probe", Flags: settingFlags(), OnUsageError: app.OnUsageError, Action: checked(func(cctx *cli.Context) error {
		for _, s := range settings {
			v, err := configured(cctx).value(s)
			if err != nil {
				return err
			}
			if v.text != "" && cctx.String(s.name) != v.text {
				t.Errorf("--%s is %q, and the setting %q", s.name, cctx.String(s.name), v.text)
			}
			if v.text == "" {
				v.text = cctx.String(s.name)
			}
			got[s.name] = v
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
	for _, s := range settings {
		t.Setenv(s.variable(), "")
		t.Setenv(s.variable()+"_FILE", "")
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
		if v := got[name]; v.text != text || v.origin != origin {
			t.Errorf("%s is %q from %q, want %q from %q", name, v.text, v.origin, text, origin)
		}
	}
	check(flagTenant, "default", "")
	t.Setenv("COMPOSERP_CONFIG", file)
	check(flagTenant, "of-file", file+":1")
	check(flagAMQP, "amqp://one,amqp://two", file+":2")
	check(flagSlots, "2,ledger=4", file+":5")
	check(flagDir, filepath.Join(dir, "data"), file+":6")
	t.Setenv("COMPOSERP_TENANT_FILE", secret)
	check(flagTenant, "of-secret", "$COMPOSERP_TENANT_FILE, "+secret)
	t.Setenv("COMPOSERP_TENANT", "of-env")
	check(flagTenant, "of-env", "$COMPOSERP_TENANT")
	check(flagTenant, "of-flag", "--tenant", "--tenant", "of-flag")
	check(flagTenant, "of-env", "$COMPOSERP_TENANT", "--tenant", "")

	other := write(t, dir, "other.yaml", "log_level: debug\n")
	check(flagLogLevel, "debug", other+":1", "--config", other)
	t.Chdir(dir)
	t.Setenv("COMPOSERP_CONFIG", "")
	check(flagLogLevel, "warn", "")
	write(t, dir, defaultConfigFile, "# mine\nlog_level: info\n")
	check(flagLogLevel, "info", "composerp.yaml:2")
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
		{"tenant: a\ntenant: b\n", ":2: this is no YAML"},
		{"tenant: [a\n", ":1: this is no YAML"},
		{"tenant: a\n---\ntenant: b\n", "one YAML document"},
	} {
		path := write(t, dir, "wrong.yaml", c.content)
		r := command(t, "up", "--config", path, "--dir", filepath.Join(dir, "none"))
		if r.code != exitConfiguration || !strings.Contains(r.errors, path+c.says) && !strings.Contains(r.errors, c.says) || strings.Count(r.errors, "\n") != 1 {
			t.Errorf("%q: exit %d, says %q, want %q", c.content, r.code, r.errors, c.says)
		}
	}
	for _, content := range []string{"", "# nothing yet\n", "tenant:\n", "---\ntenant: a\n"} {
		if _, err := parseConfig("c.yaml", []byte(content)); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
	if r := command(t, "stock", "--config", filepath.Join(dir, "none.yaml")); r.code != exitConfiguration || !strings.Contains(r.errors, "no such file") {
		t.Errorf("a file that is not there: exit %d, %s", r.code, r.errors)
	}
}

func FuzzConfigurationFile(f *testing.F) {
	f.Add("tenant: a\nslots: {ledger: 2}\namqp_url: [a, b]\n")
	f.Fuzz(func(t *testing.T, content string) {
		if c, err := parseConfig("c.yaml", []byte(content)); (c == nil) == (err == nil) {
			t.Errorf("%v, %v", c, err)
		}
	})
}

// What a flag reads from the environment without being a setting could not be put into the file, and doctor would not show it.
func TestTheEnvironmentIsReadBySettingsAlone(t *testing.T) {
	t.Parallel()
	each(newApp(nil, nil, nil).Commands, func(c *cli.Command) {
		for _, f := range c.Flags {
			_, isSetting := f.(settingFlag)
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
	for _, s := range settings {
		if slices.Contains(names, s.name) || s.usage == "" {
			t.Errorf("%s stands twice, or says nothing", s.name)
		}
		names = append(names, s.name)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://u:secret@h/d":                    "postgres://u:xxxxx@h/d",
		"postgres://u@h/d?password=secret&sslmode=a": "postgres://u@h/d?password=xxxxx&sslmode=a",
		"postgres://h/d":                             "postgres://h/d",
		"amqp://u:secret@a,amqp://u:secret@b/v":      "amqp://u:xxxxx@a,amqp://u:xxxxx@b/v",
		"host=h password=secret":                     "xxxxx (no URL)",
		"postgres://u:secret%zz@h":                   "xxxxx (no URL)",
	} {
		if got := withoutPassword(given); got != want {
			t.Errorf("%s is shown as %s, want %s", given, got, want)
		}
	}
	for given, want := range map[string]string{
		"https://h/services/secret":  "https://h/xxxxx",
		"https://u:secret@h/":        "https://u:xxxxx@h/",
		"https://h/?password=secret": "https://h/xxxxx",
		"https://h?token=secret":     "https://h/xxxxx",
	} {
		if got := hostOnly(given); got != want {
			t.Errorf("%s is shown as %s, want %s", given, got, want)
		}
	}
}
