package examples_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
)

// straight is a CARD_PRESENTED of 4 points as a till publishes it over AMQP.
const straight = `{"eventId":"5f0c7a52-3c4e-4f7d-9a55-0d6f3d1c2b10","eventType":"CARD_PRESENTED","aggregateType":"CARD","aggregateId":"C-1",
	"tenantId":"default","timestamp":"2026-03-01T12:00:00Z","version":"1.0","payload":{"cardId":"C-1","saleId":"S-2","points":4},"metadata":{"source":"till"}}`

// A program of another module runs the standard fleet and a worker of its own, with an event type and a table of its
// own. Its events arrive from the command line and straight over AMQP, and the commands know all of it.
func TestTheLoyaltyModule(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "loyalty")
	if out, err := exec.Command("go", "-C", "loyalty", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building docs/examples/loyalty: %v\n%s", err, out)
	}
	f := startProgram(t, program)
	f.prints(t, topology.QueueName("points"), "topology", "show")
	f.prints(t, "loyalty.card_presented", "worker", "describe", "points")
	f.prints(t, "", "publish", "CARD_PRESENTED", "--data", `{"cardId":"C-1","saleId":"S-1","points":3}`)
	f.publishStraight(t, "loyalty.card_presented", "CARD_PRESENTED", "5f0c7a52-3c4e-4f7d-9a55-0d6f3d1c2b10", straight)
	f.hasPoints(t, 7)
	f.prints(t, "PROVEN", "audit")
	f.prints(t, "", "doctor")
	f.prints(t, "up to date", "migrate", "up")
}

// prints runs a command, which must succeed and print the text.
func (f *fleet) prints(t *testing.T, text string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), f.program, args...)
	command.Env = f.env
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), text) {
		t.Errorf("%s: %v, want %q in\n%s", strings.Join(args, " "), err, text, out)
	}
}

// publishStraight publishes a message by the management API, which does it over AMQP.
func (f *fleet) publishStraight(t *testing.T, key, eventType, id, body string) {
	t.Helper()
	message, err := json.Marshal(map[string]any{"routing_key": key, "payload": body, "payload_encoding": "string", "properties": map[string]any{
		"type": eventType, "message_id": id, "content_type": "application/json", "delivery_mode": 2}})
	if err != nil {
		t.Fatal(err)
	}
	vhost := url.PathEscape(strings.TrimPrefix(f.broker.Path, "/"))
	f.call(http.MethodPost, "/api/exchanges/"+vhost+"/"+url.PathEscape(topology.Events)+"/publish", message)
}

// hasPoints returns when the module's own table has the points of card C-1.
func (f *fleet) hasPoints(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		got := storetest.Value[int](t, f.database, `SELECT coalesce(sum(points), 0)::int FROM loyalty.card WHERE card_id = 'C-1'`)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("card C-1 has %d points, want %d", got, want)
		}
	}
}
