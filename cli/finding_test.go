package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/store/findings"
	"github.com/composerp/composerp/store/storetest"
)

// A finding that a person acknowledges is shown as acknowledged by doctor, with who and why; one that changes is new.
func TestAFindingIsAcknowledged(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	storetest.Exec(t, url, `INSERT INTO replenishment_state (tenant_id, item_id, location_id, latest_at) VALUES ('acme', 'cup', 'north', '2026-03-20Z')`)
	storetest.Exec(t, url, `INSERT INTO transfer (tenant_id, item_id, transfer_id, location_id, sent, received, sent_at, received_at)
		VALUES ('acme', 'cup', 't1', 'north', 5, 6, '2026-03-01Z', '2026-03-02Z')`)
	say := func(code int, args ...string) string {
		t.Helper()
		r := command(t, append(args, "--database-url", url, "--dir", t.TempDir())...)
		if r.code != code {
			t.Errorf("%s: exit %d, want %d: %s%s", strings.Join(args, " "), r.code, code, r.out, r.errors)
		}
		return r.out + r.errors
	}
	doctor := func() string {
		t.Helper()
		r := command(t, "doctor", "--database-url", url, "--dir", t.TempDir())
		for line := range strings.Lines(r.out) {
			if strings.Contains(line, "transfers") {
				return line
			}
		}
		t.Fatalf("nothing about transfers in %s%s", r.out, r.errors)
		return ""
	}
	if line := doctor(); !strings.Contains(line, "warning") || !strings.Contains(line, "6 came by transfer t1, and 5 was sent") {
		t.Errorf("before: %s", line)
	}
	var list []findings.Finding
	if err := json.Unmarshal([]byte(say(exit.OK, "finding", "list", "-o", "json")), &list); err != nil || len(list) != 1 || list[0].State != findings.Open {
		t.Fatalf("the list is %+v, %v", list, err)
	}
	id := list[0].ID
	for want, args := range map[string][]string{
		"name the findings":    {"--reason", "counted"},
		"say why nothing more": {id, "--reason", " "},
		"finding nope: ":       {id, "nope", "--reason", "counted"},
	} {
		if got := say(exit.WrongUsage, append([]string{"finding", "acknowledge"}, args...)...); !strings.Contains(got, want) {
			t.Errorf("finding acknowledge %q: want %q, got %s", args, want, got)
		}
	}
	if got := say(exit.OK, "finding", "acknowledge", id, "--reason", "counted, one was found", "--operator", "ann"); !strings.Contains(got, "acknowledged") {
		t.Errorf("acknowledged: %s", got)
	}
	if line := doctor(); strings.Contains(line, "warning") || !strings.Contains(line, "acknowledged: acme/cup/north: 6 came by transfer t1, and 5 was sent (ann: counted, one was found)") {
		t.Errorf("after: %s", line)
	}
	storetest.Exec(t, url, `UPDATE transfer SET received = 7`)
	if line := doctor(); !strings.Contains(line, "warning") || !strings.Contains(line, "7 came by transfer t1") {
		t.Errorf("changed: %s", line)
	}
	if now, all := say(exit.OK, "finding", "list"), say(exit.OK, "finding", "list", "--all"); strings.Contains(now, "6 came") || !strings.Contains(all, "past") || !strings.Contains(all, "one was found") {
		t.Errorf("listed: %s\nall: %s", now, all)
	}
}
