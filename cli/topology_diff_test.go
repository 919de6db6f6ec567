package cli_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

// What export prints makes an empty broker just what the fleet needs.
func TestTopologyIsExportedAndHeldAgainstTheBroker(t *testing.T) {
	t.Parallel()
	broker := rabbitmqtest.Vhost(t)
	h := &environment{T: t, dir: t.TempDir(), env: append(cleanEnv(), "COMPOSERP_AMQP_URL="+broker.URLs[0], "COMPOSERP_MANAGEMENT_URL="+rabbitmqtest.ManagementURL(t))}
	if r := h.run("topology", "diff"); r.code != 2 || !strings.Contains(r.out, "composerp.ledger.retry.15m") || !strings.Contains(r.out, "missing") {
		t.Errorf("of an empty virtual host: exit %d\n%s%s", r.code, r.out, r.errors)
	}
	definitions := h.ok("topology", "export").out
	answer, err := http.Post(rabbitmqtest.ManagementURL(t)+"/api/definitions", "application/json", bytes.NewReader([]byte(definitions)))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode >= 300 {
		t.Fatalf("the import is answered with %s", answer.Status)
	}
	if r := h.ok("topology", "diff", "-o", "json"); strings.TrimSpace(r.out) != "[]" {
		t.Errorf("after the import the broker differs: %s", r.out)
	}
	h.ok("topology", "apply")

	// Bindings of an older fleet are removed, and nothing else: no external queue's and none that is needed.
	if r := h.ok("topology", "unbind"); !strings.Contains(r.errors, "no binding that it does not need") {
		t.Errorf("with nothing to take away it says %s%s", r.out, r.errors)
	}
	for queue, key := range map[string]string{"theirs": "#", "composerp.intake": "integration.sale_completed", "composerp.analytics": "inventory.updated"} {
		rabbitmqtest.Bind(t, broker, topology.BindingSpec{Exchange: topology.Events, Queue: queue, RoutingKey: key})
	}
	if r := h.ok("topology", "unbind", "--dry-run"); strings.Count(r.out, "composerp.events") != 2 || !strings.Contains(r.errors, "2 bindings would be removed") {
		t.Errorf("the dry run says\n%s%s", r.out, r.errors)
	}
	h.ok("topology", "unbind")
	if r := h.ok("topology", "diff", "-o", "json"); strings.TrimSpace(r.out) != "[]" {
		t.Errorf("afterwards the broker differs: %s", r.out)
	}
	rabbitmqtest.SetPolicy(t, broker, "fast", "^composerp", map[string]any{"message-ttl": 5000})
	rabbitmqtest.SetOperatorPolicy(t, broker, "short", "^composerp.intake$", map[string]any{"expires": 60000})
	localtest.Eventually(t, 20*time.Second, "the policies' effects are named", func() bool {
		r := h.run("topology", "diff")
		for _, part := range []string{`message-ttl 5000, composerp.alert and `, `: a message that waits for 5s becomes a dead letter`,
			`policy fast with operator policy short`, `expires 60000, composerp.intake: a queue without a consumer for 1m is deleted, with its messages`} {
			if r.code != 2 || !strings.Contains(r.out, part) {
				return false
			}
		}
		return true
	})
	rabbitmqtest.DeleteBinding(t, broker, topology.BindingSpec{Exchange: topology.Events, Queue: "theirs", RoutingKey: "#"})
}
