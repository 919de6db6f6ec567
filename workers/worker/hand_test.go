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

// byHand publishes a body to composerp.events as a sale, as one does in the
// management UI: without a single property.
func (h *house) byHand(body []byte) {
	h.Helper()
	management := localtest.Broker(h).ManagementURL
	request, err := json.Marshal(map[string]any{
		"routing_key": "integration.sale_completed", "properties": map[string]any{},
		"payload": base64.StdEncoding.EncodeToString(body), "payload_encoding": "base64",
	})
	h.must(err)
	path := "/api/exchanges/" + url.PathEscape(rabbitmqtest.VhostOf(h, h.broker)) + "/" + topology.Events + "/publish"
	answer, err := http.Post(management+path, "application/json", bytes.NewReader(request))
	h.must(err)
	defer func() { _ = answer.Body.Close() }()
	var said struct {
		Routed bool `json:"routed"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil || !said.Routed {
		h.Fatalf("publishing by hand: %s, %v", answer.Status, err)
	}
}

func (h *house) deleteQueue(name string) {
	h.Helper()
	h.must(rabbitmqtest.Management(h).DeleteQueue(h.Context(), rabbitmqtest.VhostOf(h, h.broker), name))
}

// hangUp has the broker close every connection of the worker named echo.
func (h *house) hangUp() int {
	h.Helper()
	management := rabbitmqtest.Management(h)
	connections, err := management.Connections(h.Context(), rabbitmqtest.VhostOf(h, h.broker))
	h.must(err)
	closed := 0
	for _, c := range connections {
		if bytes.HasPrefix([]byte(c.ClientName), []byte("composerp/echo@")) {
			if management.CloseConnection(h.Context(), c.Name, "a test hangs up") == nil {
				closed++
			}
		}
	}
	return closed
}
