package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/store/storetest"
)

// A name that is not known is the mistake of a command line, whatever it names, and the likely one is suggested.
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	url := letterPlace(t)
	storetest.Exec(t, url, `INSERT INTO quarantine (class, consumer, type, version, fingerprint, sample) VALUES ('ledger-1', 'ledger', 'SALE_COMPLETED', '1.0', 'f', 'no such item')`)
	storetest.Exec(t, url, `INSERT INTO supplier (tenant_id, supplier_id, lead_time_days, endpoint) VALUES ('t1', 'potter', 1, 'https://potter.example/orders')`)
	storetest.Exec(t, url, `UPDATE dead_letter SET consumer = 'retired' WHERE consumer = 'intake'`)
	for line, says := range map[string]string{
		"dlq list --worker legder":       `did you mean "ledger"?`,
		"dlq export --queue unruoted":    `did you mean "unrouted"?`,
		"dlq show x --queue nope":        "there are ledger",
		"dlq discard --queue nope":       "there are ledger",
		"dlq show nope":                  `no dead letter "nope"`,
		"quarantine release ledger-2":    `did you mean "ledger-1"?`,
		"quarantine release nope":        "composerp quarantine list",
		"po show nope":                   `no order "nope"`,
		"forecast show nope":             "no forecast of item nope",
		"republish --consumer legder":    `did you mean "ledger"?`,
		"dlq redrive --queue legder":     `did you mean "ledger"?`,
		"worker run legder":              `there is no worker "legder"; did you mean "ledger"?`,
		"stock --sort onhand":            "want one of",
		"limit https://potter.exmaple 2": `did you mean "https://potter.example"?`,
	} {
		r := command(t, append(strings.Fields(line), "--database-url", url, "--amqp-url", "amqp://a:b@127.0.0.1:1/", "--dir", t.TempDir())...)
		if strings.HasPrefix(line, "quarantine") || strings.HasPrefix(line, "po") || strings.HasPrefix(line, "forecast") || strings.HasPrefix(line, "stock") || strings.HasPrefix(line, "limit") {
			r = command(t, append(strings.Fields(line), "--database-url", url, "--dir", t.TempDir())...)
		}
		if r.code != exit.WrongUsage || !strings.Contains(r.errors, says) {
			t.Errorf("%s: exit %d, %s; want 64 and %q", line, r.code, r.errors, says)
		}
	}
	if r := command(t, "dlq", "list", "--queue", "retired", "--each", "--database-url", url, "--dir", t.TempDir()); r.code != exit.OK || !strings.Contains(r.out, "000000000004") {
		t.Errorf("a worker that is gone: exit %d, %s%s", r.code, r.out, r.errors)
	}
}

// help names the same commands as --help, at any place of the line.
func TestHelpOfACommand(t *testing.T) {
	t.Parallel()
	for line, as := range map[string]string{
		"help":                "--help",
		"help dlq":            "dlq --help",
		"help dlq redrive":    "dlq redrive --help",
		"dlq help redrive":    "dlq redrive --help",
		"help dlq redrive -o": "dlq redrive --help",
		"help worker run":     "worker run --help",
		"dlq help":            "dlq --help",
	} {
		got, want := command(t, strings.Fields(line)...), command(t, strings.Fields(as)...)
		if got.code != exit.OK || got.out != want.out || got.errors != "" || !strings.Contains(got.out, "USAGE") {
			t.Errorf("%s: exit %d, %s", line, got.code, got.errors)
		}
	}
	for line, says := range map[string]string{
		"help nosuch":      `no command "nosuch"`,
		"help dlqq":        `did you mean "dlq"?`,
		"help dlq rediwre": "`composerp dlq --help`",
		"dlq help nosuch":  `no command "nosuch"`,
	} {
		if r := command(t, strings.Fields(line)...); r.code != exit.WrongUsage || !strings.Contains(r.errors, says) {
			t.Errorf("%s: exit %d, %s; want 64 and %q", line, r.code, r.errors, says)
		}
	}
}

// Every flag that is a time refuses zero and less, before a server is called.
func TestTimesAreAboveZero(t *testing.T) {
	t.Parallel()
	tried := 0
	walk("", newApp(nil, nil, nil).Commands, func(path string, c *cli.Command) {
		for _, f := range c.Flags {
			d, ok := f.(*cli.DurationFlag)
			if !ok {
				continue
			}
			for _, value := range []string{"0s", "-5s"} {
				tried++
				if r := command(t, append(strings.Fields(path), "--"+d.Name+"="+value)...); r.code != exit.WrongUsage || !strings.Contains(r.errors, "above 0") {
					t.Errorf("%s --%s=%s: exit %d, %s", path, d.Name, value, r.code, r.errors)
				}
			}
		}
	})
	if tried < 8 {
		t.Errorf("only %d flags were tried", tried)
	}
}

// With -o json an error is JSON too, a line on stderr.
func TestErrorsAsJSON(t *testing.T) {
	t.Parallel()
	for line, code := range map[string]int{
		"stock --limit -1 -o json":                                  exit.WrongUsage,
		"stock --nosuch --output json":                              exit.WrongUsage,
		"po list -o=json --database-url postgres://a@127.0.0.1:1/x": exit.ServerUnreachable,
	} {
		r := command(t, append(strings.Fields(line), "--dir", t.TempDir())...)
		var e struct {
			Error    string
			Do       string
			ExitCode int
		}
		if err := json.Unmarshal([]byte(r.errors), &e); err != nil || e.Error == "" || e.ExitCode != code || r.code != code {
			t.Errorf("%s: exit %d, %v: %s", line, r.code, err, r.errors)
		}
	}
	if r := command(t, "stock", "--limit", "-1"); !strings.HasPrefix(r.errors, "composerp: ") {
		t.Errorf("as text: %s", r.errors)
	}
}
