package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/local"
)

// Without servers in the environment `up` has its own, and every other command finds them by itself. With --observe it
// has a Prometheus besides, in which every panel has data.
func TestUpWithServersOfItsOwn(t *testing.T) {
	t.Parallel()
	// Variables of the database driver are for servers of the user's own: these would lead to none.
	h := &environment{T: t, dir: t.TempDir(), env: append(cleanEnv(), "COMPOSERP_METRICS_ADDR=127.0.0.1:0",
		"PGHOSTADDR=192.0.2.1", "PGSSLMODE=verify-full", "PGOPTIONS=-c nonsense=1", "PGCHANNELBINDING=require", "PGTARGETSESSIONATTRS=standby")}
	t.Cleanup(func() { _ = local.Remove(context.Background(), filepath.Join(h.dir, ".composerp")) })
	f := h.up("--observe")
	for _, want := range []string{"management UI  http://127.0.0.1:", "page           http://127.0.0.1:", "metrics        http://127.0.0.1:"} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("up does not say %q: %s", want, f.log)
		}
	}
	h.wantOwnRoles()
	if r := h.run("up"); r.code != 1 || !strings.Contains(r.errors, "already up") || !strings.Contains(r.errors, "composerp down") {
		t.Errorf("a second up: exit %d, %s", r.code, r.errors)
	}
	h.ok("publish", "SALE_COMPLETED", "--tenant", "t1", "--data",
		`{"saleId":"S1","itemId":"85123A","locationId":"UK-WH","quantity":2.5,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}`)
	if r := h.ok("audit"); !strings.Contains(r.out, "PROVEN") {
		t.Errorf("the audit says %s", r.out)
	}
	var stock []map[string]any
	if err := json.Unmarshal([]byte(h.ok("stock", "-o", "json").out), &stock); err != nil || len(stock) != 1 {
		t.Fatalf("%v, %d rows", err, len(stock))
	}
	for field, want := range map[string]any{"tenantId": "t1", "itemId": "85123A", "locationId": "UK-WH", "onHand": -2.5, "reserved": 0.0, "available": -2.5} {
		if stock[0][field] != want {
			t.Errorf("stock has %s = %v, want %v", field, stock[0][field], want)
		}
	}
	var workers []struct {
		Worker           string
		Consumers, Ready int
	}
	if err := json.Unmarshal([]byte(h.ok("worker", "list", "-o", "json").out), &workers); err != nil || len(workers) < 4 || workers[0].Consumers != 1 {
		t.Errorf("worker list: %v, %+v", err, workers)
	}
	h.ok("topology", "apply")
	if r := h.ok("doctor"); !strings.Contains(r.out, "GB are free in ") {
		t.Errorf("the doctor has not looked at the disk of the private servers:\n%s", r.out)
	}
	prometheus := h.everyPanelHasData(f)
	h.ok("down")
	if err := <-f.ended; err != nil {
		t.Errorf("up did not end well after down: %v\n%s", err, f.log)
	}
	f.ended <- nil
	if prometheus.answersFor(h.dir) {
		t.Error("its Prometheus is still there after down")
	}
	if r := h.run("stock"); r.code != 78 || !strings.Contains(r.errors, "composerp up") {
		t.Errorf("after down, stock: exit %d, %s", r.code, r.errors)
	}
	if _, err := os.Stat(filepath.Join(h.dir, ".composerp", "fleet.json")); err == nil {
		t.Error("fleet.json is still there")
	}
}
