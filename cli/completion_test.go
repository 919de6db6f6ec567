package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store/storetest"
)

func TestCandidates(t *testing.T) {
	t.Parallel()
	app := newApp(nil, nil, nil)
	for _, c := range []struct {
		typed string // the words, the last behind the last blank
		want  string // some of what it can become
		not   string
	}{
		{"", "up stock worker", "list"},
		{"wor", "worker", "up"},
		{"worker ", "list run", "up"},
		{"worker run ", "ledger intake", "worker"},
		{"worker run ledger ", "intake", "ledger"},
		{"worker run --slots 2 ", "ledger", "--slots"},
		{"worker run --slots ", "ledger= intake=", "ledger"},
		{"worker run --sl", "--slots", "--dir"},
		{"worker run --slots 2 --", "--dir --help", "--slots"},
		{"publish ", "SALE_COMPLETED STOCK_COUNTED", "INVENTORY_UPDATED"},
		{"publish SALE_COMPLETED ", "", "SALE_COMPLETED"},
		{"stock -o ", "table json", "up"},
		{"stock --output=", "--output=table --output=json", "json"},
		{"stock --output = j", "json", "--output=json"},
		{"stock --output =", "json table", "--output=json"},
		{"stock --sort ", "cover", "wape"},
		{"forecast accuracy --sort ", "units", "cover"},
		{"completion ", "bash zsh fish", "up"},
		{"up --log-level d", "debug", "info"},
		{"--config x worker r", "run", "list"},
		{"scale ", "ledger= forecasting=", "ledger"},
		{"scale ledger=4 ", "lots=", "ledger="},
		{"scale ledger=4 --on ", "any", "SALE_COMPLETED"},
		{"worker describe ", "ledger lots", "composerp.ledger"},
		{"worker pause l", "ledger lots", "alert"},
		{"worker resume ledger ", "", "lots"},
		{"autoscale set f", "forecasting", "ledger"},
		{"autoscale off ", "forecasting", "set"},
		{"autoscale explain ", "forecasting", "set"},
		{"autoscale backtest ", "forecasting", "set"},
	} {
		found, files := candidates(app, strings.Split(c.typed, " "))
		var got []string
		for _, f := range found {
			got = append(got, f.text)
		}
		for _, w := range strings.Fields(c.want) {
			if !slices.Contains(got, w) {
				t.Errorf("%q can not become %q, but %q", c.typed, w, got)
			}
		}
		if slices.Contains(got, c.not) || files {
			t.Errorf("%q can become %q, files %v", c.typed, got, files)
		}
	}
	for _, typed := range []string{"import ", "import s", "import x.csv --map ", "stock --config "} {
		if _, files := candidates(app, strings.Split(typed, " ")); !files {
			t.Errorf("%q is not the name of a file", typed)
		}
	}
}

// Names that only the servers know are offered, and nothing when these are away.
func TestCandidatesOfTheServers(t *testing.T) {
	t.Parallel()
	url := letterPlace(t)
	storetest.Exec(t, url, seedOrders)
	storetest.Exec(t, url, `INSERT INTO quarantine (class, consumer, type, version, fingerprint, sample) VALUES ('ledger-1', 'ledger', 'SALE_COMPLETED', '1.0', 'f', 'no such item')`)
	storetest.Exec(t, url, `INSERT INTO worker_node (id, host, pid, version, capacity, labels, queues, flag_slots, lease_until)
		VALUES ('north#17', 'north', 17, 'v1', 4, '{}', '{ledger}', '{1}', clock_timestamp() + interval '1 minute'),
		('north#4', 'north', 4, 'v1', 4, '{}', '{ledger}', '{1}', clock_timestamp() - interval '1 minute')`)
	if oneParse != nil {
		oneParse.Lock()
		defer oneParse.Unlock()
	}
	offers := func(typed, database string) (names []string) {
		storetest.Exec(t, url, `UPDATE worker_node SET lease_until = clock_timestamp() + interval '20 seconds' WHERE pid = 17`)
		t.Helper()
		words := strings.Split("--database-url "+database+" "+typed, " ")
		found, _ := candidates(newApp(nil, nil, nil), words)
		for _, c := range found {
			names = append(names, c.text)
		}
		return names
	}
	for typed, want := range map[string]string{
		"po show PO-2026-000004": "PO-2026-000004", "po approve PO": "PO-2026-000001 PO-2026-000002 PO-2026-000003", "po reject PO-2026-000002 PO-2026-000003": "PO-2026-000003",
		"quarantine release l": "ledger-1", "dlq list --quarantine=": "--quarantine=ledger-1", "stock --item c": "cup", "po list --supplier s": "smith",
		"dlq show 00000000-0000-5000-8000-000000000002": "00000000-0000-5000-8000-000000000002",
		"worker drain ": "north#17", "worker pause ledger --node no": "north#17", "worker resume --node=": "--node=north#17",
	} {
		localtest.Eventually(t, 30*time.Second, typed+" offers "+want, func() bool { // the timeout may pass on a busy machine
			got := offers(typed, url)
			slices.Sort(got)
			return strings.Join(got, " ") == want
		})
		if got := offers(typed, "postgres://a@127.0.0.1:1/x"); len(got) > 0 {
			t.Errorf("%s without a server offers %q", typed, got)
		}
	}
}

// A real bash, which has sourced the script, is asked what it would offer.
func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("SKIPPED: there is no bash")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "composerp")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./composerp").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, dir, "sales of march.csv", "")
	write(t, dir, "sales.yaml", "")
	write(t, dir, "completion.bash", command(t, "completion", "bash").out)
	for typed, want := range map[string]string{
		"composerp worker run led":                  "ledger",
		"composerp worker ":                         "describe|drain|list|new|pause|resume|run",
		"composerp publish SALE":                    "SALE_COMPLETED",
		"composerp import sales":                    "sales of march.csv|sales.yaml",
		"composerp import x --map sales.":           "sales.yaml",
		"composerp stock --output=j":                "json",
		"composerp topology e":                      "export",
		"composerp worker run --slots led":          "ledger=",
		"composerp scale led":                       "ledger=",
		"composerp scale ledger=4 lo":               "lots=",
		"composerp no-such ":                        "",
		program + " doctor --show":                  "--show-config",
		"composerp --log-level debug worker run no": "notification",
	} {
		// Bash parts the line as readline would, "=" being a word of its own.
		words := strings.Split(strings.ReplaceAll(typed, "=", " = "), " ")
		script := `source completion.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _composerp "$1"; IFS="|"; printf %s "${COMPREPLY[*]}"`
		cmd := exec.CommandContext(t.Context(), bash, append([]string{"--norc", "-c", script, "bash"}, words...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		got := strings.Split(string(out), "|")
		slices.Sort(got)
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q: %v, offers %q, want %q", typed, err, out, want)
		}
	}
}

// An installed script lies in $fpath. There zsh loads it with the first TAB, which must already offer something.
func TestCompletionInZshOffersWithTheFirstTab(t *testing.T) {
	t.Parallel()
	zsh, err := exec.LookPath("zsh")
	if err != nil {
		t.Skip("SKIPPED: there is no zsh")
	}
	dir := t.TempDir()
	write(t, dir, "_composerp", command(t, "completion", "zsh").out)
	const script = `
		fake() { print list; print run }      # the program, and zsh's own function, which shows what it gets
		_describe() { print -r -- $found }
		fpath=(. $fpath); autoload -Uz _composerp
		words=(fake worker ""); CURRENT=3; _composerp; _composerp`
	cmd := exec.CommandContext(t.Context(), zsh, "-f", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "list run\nlist run\n" {
		t.Errorf("%v, want the names twice, got %q", err, out)
	}
}

func TestCompletionScriptsAreOfTheirShell(t *testing.T) {
	t.Parallel()
	for shell, flag := range map[string]string{"bash": "-n", "zsh": "-n", "fish": "--no-execute"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("there is no %s: its script's syntax is not proven", shell)
			continue
		}
		file := write(t, t.TempDir(), "script", command(t, "completion", shell).out)
		if out, err := exec.CommandContext(t.Context(), path, flag, file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
	if r := command(t, "completion", "tcsh"); r.code != exit.WrongUsage || !strings.Contains(r.errors, "bash, fish, zsh") {
		t.Errorf("of tcsh: exit %d, %s", r.code, r.errors)
	}
}

func TestManualPage(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll(command(t, "man").out, `\-`, "-")
	for _, path := range leaves() {
		if !strings.Contains(text, "composerp "+strings.Join(path, " ")) {
			t.Errorf("%s is not in the manual page", strings.Join(path, " "))
		}
	}
	for _, s := range settings.All {
		if !strings.Contains(text, s.Variable()) {
			t.Errorf("%s is not in the manual page", s.Variable())
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("SKIPPED: there is no groff to set the page with")
	}
	cmd := exec.CommandContext(t.Context(), groff, "-man", "-Tutf8", "-ww", "-z")
	cmd.Stdin = strings.NewReader(text)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		t.Errorf("groff: %v\n%s", err, said.String())
	}
}
