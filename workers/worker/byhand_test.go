package worker_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

// publishByHand publishes a body to composerp.events as a sale, as the management UI
// does: without properties.
func (h *env) publishByHand(body []byte) {
	h.Helper()
	management := localtest.Broker(h).ManagementURL
	request, err := json.Marshal(map[string]any{
		"routing_key": "integration.sale_completed", "properties": map[string]any{},
		"payload": base64.StdEncoding.EncodeToString(body), "payload_encoding": "base64",
	})
	h.Must(err)
	path := "/api/exchanges/" + url.PathEscape(rabbitmqtest.VhostOf(h, h.Broker)) + "/" + topology.Events + "/publish"
	answer, err := http.Post(management+path, "application/json", bytes.NewReader(request))
	h.Must(err)
	defer func() { _ = answer.Body.Close() }()
	var result struct {
		Routed bool `json:"routed"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&result); err != nil || !result.Routed {
		h.Fatalf("publishing by hand: %s, %v", answer.Status, err)
	}
}
