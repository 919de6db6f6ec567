package cli_test

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/store/storetest"
)

func TestQuarantineIsListedWarnedOfAndReleased(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	if r := h.ok("quarantine", "list"); strings.Count(r.out, "\n") != 2 || !strings.Contains(r.out, "(none)") {
		t.Errorf("want nothing but the heading, got %s", r.out)
	}
	storetest.Exec(t, h.database, `INSERT INTO quarantine (class, consumer, type, version, fingerprint, sample) VALUES ('ledger-1', 'ledger', 'SALE_COMPLETED', '1.0', 'f', 'no such item')`)
	storetest.Exec(t, h.database, `INSERT INTO dependency (name, opens_at, last_error) VALUES ('https://potter.example', now() + interval '1 hour', '503 Service Unavailable'),
		('https://smith.example', now() - interval '1 minute', 'connection refused')`)
	x := h.doctor(2)
	x.has(t, "quarantine", "warning", "SALE_COMPLETED 1.0 fails in ledger since", "composerp quarantine release ledger-1")
	x.has(t, "dependencies", "warning", "https://potter.example is unavailable since", "by themselves")
	x.has(t, "dependencies", "warning", "503 Service Unavailable; it is called again from", "")
	x.has(t, "dependencies", "warning", "connection refused; the next message for it makes a call", "")
	if r := h.ok("quarantine", "release", "ledger-1"); !strings.Contains(r.errors, "composerp dlq redrive --quarantine ledger-1") {
		t.Errorf("want the command that redrives what was held back, got %s", r.errors)
	}
	h.doctor(2).has(t, "quarantine", "ok", "no class", "")
	for class, want := range map[string]string{"ledger-1": "it was released before", "ledger-2": "no class \"ledger-2\" is in quarantine"} {
		if r := h.run("quarantine", "release", class); r.code == 0 || !strings.Contains(r.errors, want) {
			t.Errorf("releasing %s exits with %d and says %s", class, r.code, r.errors)
		}
	}
	if r := h.run("quarantine", "release"); r.code != 64 || !strings.Contains(r.errors, "composerp quarantine list") {
		t.Errorf("releasing nothing exits with %d and says %s", r.code, r.errors)
	}
	if r := h.ok("quarantine", "list", "--all"); !strings.Contains(r.out, "ledger-1") {
		t.Errorf("want what was released shown, got %s", r.out)
	}
}
