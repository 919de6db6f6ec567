package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/composerp/composerp/cli/exit"
)

func TestDeprecatedWordsBecomeTodays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ typed, want, told string }{
		{"notice list --untold --limit 3", "notification list --undelivered --limit 3", "notice --untold"},
		{"notice --untold", "notification --untold", "notice"}, // no flag of the group: an error, as before
		{"dlq list --dealt=false", "dlq list --all=false", "--dealt"},
		{"dlq export -dealt --error -dealt", "dlq export --all --error -dealt", "--dealt"},
		{"dlq redrive --stop-at 5 --queue ledger", "dlq redrive --max-failure-rate 5 --queue ledger", "--stop-at"},
		{"po approve --by ann o-2", "po approve --operator ann o-2", "--by"},
		{"po reject o-2 --by=ann", "po reject o-2 --operator=ann", "--by"},
		{"log operator --by ann", "log operator --by ann", ""},
		{"dlq redrive --stop-at=5", "dlq redrive --max-failure-rate=5", "--stop-at"},
		{"dlq show -- --dealt", "dlq show -- --dealt", ""},
		{"dlq list --error --dealt", "dlq list --error --dealt", ""},
		{"notification list --undelivered", "notification list --undelivered", ""},
		{"worker run ledger journal", "worker run ledger deadletterlog", "journal"},
		{"stock show notice", "stock show notice", ""},
	} {
		var said bytes.Buffer
		got := renamed(newApp(nil, nil, nil), strings.Fields("composerp "+c.typed), &said)
		if is := strings.Join(got[1:], " "); is != c.want {
			t.Errorf("%q is read as %q, want %q", c.typed, is, c.want)
		}
		if n := strings.Count(said.String(), "deprecated"); n != len(strings.Fields(c.told)) {
			t.Errorf("%q: %d notices, want %q:\n%s", c.typed, n, c.told, said.String())
		}
		for _, word := range strings.Fields(c.told) {
			if !strings.Contains(said.String(), "composerp: "+word+" is deprecated") {
				t.Errorf("%q: no notice of %s in\n%s", c.typed, word, said.String())
			}
		}
	}
}

// Each old word leads to one that exists, and no list shows it.
func TestDeprecatedWordsAreHidden(t *testing.T) {
	t.Parallel()
	man := command(t, "man").out
	for r, now := range renames {
		line, typed := append(strings.Fields(r.under), r.old), "--"
		switch r.under {
		case "":
			line, typed = append(line, "list"), ""
		case "worker run":
			typed = ""
		case "dlq redrive", "po approve", "po reject":
			line[len(line)-1] += "=5"
		}
		if res := command(t, append(line, "--help")...); (res.code != exit.OK && r.under != "worker run") || !strings.Contains(res.errors, "use "+now) {
			t.Errorf("%v --help: exit %d, %s", line, res.code, res.errors)
		}
		for what, out := range map[string]string{
			"help":       command(t, append(strings.Fields(r.under), "--help")...).out,
			"completion": command(t, append(append([]string{completeWord, "bash"}, strings.Fields(r.under)...), typed)...).out,
			"man":        strings.ReplaceAll(man, `\-`, "-"),
		} {
			if what == "man" && r.old == "--by" {
				continue // `log operator` has a flag of that name
			}
			if strings.Contains(out, r.old+" ") || strings.Contains(out, r.old+"\n") {
				t.Errorf("%s shows the deprecated %s", what, r.old)
			}
			if !strings.Contains(out, now) && (what == "completion" || r.under != "worker run") {
				t.Errorf("%s lacks %s", what, now)
			}
		}
	}
}
