package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/store/seal"
	"github.com/composerp/composerp/store/storetest"
)

// An auditor's day: a key, audits that sign, a log that is verified beside the fleet, and an event that is edited.
func TestALogThatIsEdited(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.up()
	key := filepath.Join(h.dir, "keys", "audit.key")
	if r := h.run("events", "signing-key", key); r.code == 0 || !strings.Contains(r.errors, "no such file or directory") {
		t.Errorf("a key in a directory that is not there: exit %d: %s", r.code, r.errors)
	}
	if err := os.Mkdir(filepath.Dir(key), 0o700); err != nil {
		t.Fatal(err)
	}
	if r := h.ok("events", "signing-key", key); !strings.Contains(r.errors, "composerp audit --receipts DIRECTORY --signing-key "+key) {
		t.Errorf("the key's use is not told: %s", r.errors)
	}
	if r := h.run("events", "signing-key", key); r.code == 0 || !strings.Contains(r.errors, "file exists") {
		t.Errorf("a key is replaced: exit %d: %s", r.code, r.errors)
	}
	sale := func(id string) {
		h.ok("publish", "SALE_COMPLETED", "--tenant", "t1", "--data",
			`{"saleId":"`+id+`","itemId":"cup","locationId":"shop","quantity":1,"amount":2,"timestamp":"2026-02-09T12:00:00Z"}`)
	}
	sale("S1")
	receipts := filepath.Join(h.dir, "receipts")
	for args, says := range map[string]string{
		"--receipts " + receipts: "give both", "--signing-key " + key: "give both", "--receipts " + receipts + " --signing-key " + key + ".pub": "no private key",
	} {
		if r := h.run(append([]string{"audit"}, strings.Fields(args)...)...); r.code == 0 || !strings.Contains(r.errors, says) {
			t.Errorf("audit %s: exit %d: %s", args, r.code, r.errors)
		}
	}
	if r := h.ok("audit", "--receipts", receipts, "--signing-key", key); !strings.Contains(r.errors, "signed seal ") {
		t.Errorf("the audit says nothing of its receipt: %s", r.errors)
	}
	sale("S2")
	given := []string{"events", "verify", "--receipts", receipts, "--public-key", key + seal.PublicSuffix}
	if r := h.ok(given...); !strings.Contains(r.out, "VERIFIED: every sealed event is as it was") || !strings.Contains(r.out, "1, the newest of ") {
		t.Errorf("of a log that is as it was: %s", r.out)
	}
	if r := h.ok("events", "verify"); !strings.Contains(r.out, "none given") {
		t.Errorf("without receipts: %s", r.out)
	}
	if r := h.run("events", "verify", "--receipts", receipts); r.code != 64 || !strings.Contains(r.errors, "give both") {
		t.Errorf("receipts without a key: exit %d: %s", r.code, r.errors)
	}
	if r := h.run("events", "verify", "--receipts", receipts+"x", "--public-key", key+seal.PublicSuffix); r.code != 78 {
		t.Errorf("receipts that are not there: exit %d: %s", r.code, r.errors)
	}

	h.erases(given, key)

	storetest.Exec(t, h.database, `UPDATE event_log SET body = replace(body, '"quantity":1', '"quantity":2') WHERE type = 'SALE_COMPLETED' AND body LIKE '%S1%'`)
	id := storetest.Value[string](t, h.database, `SELECT event_id FROM event_log WHERE type = 'SALE_COMPLETED' AND body LIKE '%S1%'`)
	r := h.run(given...)
	if r.code != 2 || !strings.Contains(r.out, "FINDINGS: 1") || !strings.Contains(r.out, id) || !strings.Contains(r.out, "its body is not the one that was logged") {
		t.Errorf("of an event that was edited: exit %d: %s%s", r.code, r.out, r.errors)
	}
	var found struct {
		Verdict  string
		Findings []struct{ Kind, EventID, Type string }
	}
	if err := json.Unmarshal([]byte(h.run(append(given, "-o", "json")...).out), &found); err != nil {
		t.Fatal(err)
	}
	if found.Verdict != "findings" || len(found.Findings) != 1 || found.Findings[0].Kind != "edited" || found.Findings[0].EventID != id || found.Findings[0].Type != "SALE_COMPLETED" {
		t.Errorf("as JSON: %+v", found)
	}

	// With every hash of it, and the chain made anew: only the receipt finds it.
	storetest.Exec(t, h.database, `UPDATE event_log SET body_sha256 = sha256(convert_to(body, 'UTF8')) WHERE body NOT LIKE '%"erased"%'; DELETE FROM log_seal`)
	storetest.MustGet(seal.Seal(t.Context(), storetest.Open(t, h.database, 1)))(t)
	h.ok("events", "verify")
	if r := h.run(given...); r.code != 2 || !strings.Contains(r.out, "the chain was made anew") {
		t.Errorf("of a chain that was made anew: exit %d: %s%s", r.code, r.out, r.errors)
	}
}

// erases: an erasure that no key signed may be an edit; a list of erasures signs it.
func (h *environment) erases(verify []string, key string) {
	h.Helper()
	const id = "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a61"
	h.ok("publish", "SALE_COMPLETED", "--tenant", "t1", "--id", id, "--data",
		`{"saleId":"S3","itemId":"cup","locationId":"shop","quantity":3,"amount":2,"customerId":"17850","timestamp":"2026-02-09T12:00:00Z"}`)
	ids, list := filepath.Join(h.dir, "ids"), filepath.Join(h.dir, "erasures.json")
	storetest.Must(h, os.WriteFile(ids, []byte("# request 12\n\n"+id+"\n"), 0o600))
	erase := []string{"events", "erase", "--from-file", ids, "--fields", "payload.customerId", "--reason", "request 12"}
	if r := h.run(erase...); r.code != 64 || !strings.Contains(r.errors, "--yes") {
		h.Errorf("without a person to ask: exit %d: %s", r.code, r.errors)
	}
	h.until("the sale is handled", func() bool { return h.run(append(erase, "--yes")...).code == 0 })
	h.until("the sale is sealed", func() bool {
		storetest.MustGet(seal.Seal(h.Context(), storetest.Open(h, h.database, 1)))(h)
		return strings.Contains(h.ok("events", "verify").out, "request 12 (not held against a key")
	})
	if r := h.run(verify...); r.code != 2 || !strings.Contains(r.out, "FINDINGS: 1") || !strings.Contains(r.out, "has not signed that") {
		h.Errorf("of an erasure without a signature: exit %d: %s%s", r.code, r.out, r.errors)
	}
	storetest.Must(h, os.WriteFile(list, []byte(h.ok("events", "erasures", "-o", "json").out), 0o600))
	h.ok("events", "erase", "--from-file", list, "--signing-key", key, "--yes")
	if r := h.ok(verify...); !strings.Contains(r.out, "held against the key") {
		h.Errorf("of an erasure with a signature: %s", r.out)
	}
	if r := h.ok("events", "show", id); !strings.Contains(r.out, "ERASED") || strings.Contains(r.out, "17850") {
		h.Errorf("the event is shown as %s", r.out)
	}
	for args, says := range map[string]string{
		"--fields payload.a --reason x": "name the events", id + " --fields payload": "as a whole", id + " --fields tenantId": "one of payload or metadata",
		id: "name the fields", id + " --fields payload.a": "needs a reason", id + " --tenant t1 --fields payload.a --reason x": "not by both",
		"--from-file " + list + " --fields payload.a": "give no others", "nope --fields payload.a": "no event's id",
	} {
		if r := h.run(append([]string{"events", "erase", "--yes"}, strings.Fields(args)...)...); r.code != 64 || !strings.Contains(r.errors, says) {
			h.Errorf("erase %s: exit %d: %s", args, r.code, r.errors)
		}
	}
}
