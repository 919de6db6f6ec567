package rabbitmqtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

// DeleteExchange takes an exchange away, with all bindings to it.
func DeleteExchange(t testing.TB, config rabbitmq.Config, name string) {
	t.Helper()
	manage(t, http.MethodDelete, "/api/exchanges/"+url.PathEscape(VhostOf(t, config))+"/"+url.PathEscape(name), nil)
}

// DeleteQueue takes a queue away, with what is in it and all bindings of it.
func DeleteQueue(t testing.TB, config rabbitmq.Config, name string) {
	t.Helper()
	manage(t, http.MethodDelete, "/api/queues/"+url.PathEscape(VhostOf(t, config))+"/"+url.PathEscape(name), nil)
}

// DeleteBinding takes the binding of a queue away.
func DeleteBinding(t testing.TB, config rabbitmq.Config, b topology.BindingSpec) {
	t.Helper()
	manage(t, http.MethodDelete, "/api/bindings/"+url.PathEscape(VhostOf(t, config))+"/e/"+url.PathEscape(b.Exchange)+"/q/"+
		url.PathEscape(b.Queue)+"/"+url.PathEscape(b.RoutingKey), nil)
}

// Bind leads what an exchange gets to a queue, which is made where there is none.
func Bind(t testing.TB, config rabbitmq.Config, b topology.BindingSpec) {
	t.Helper()
	vhost := url.PathEscape(VhostOf(t, config))
	if !strings.HasPrefix(b.Queue, topology.QueueName("")) {
		manage(t, http.MethodPut, "/api/queues/"+vhost+"/"+url.PathEscape(b.Queue), map[string]any{"durable": true})
	}
	manage(t, http.MethodPost, "/api/bindings/"+vhost+"/e/"+url.PathEscape(b.Exchange)+"/q/"+url.PathEscape(b.Queue), map[string]any{"routing_key": b.RoutingKey})
}

// Restrict sets what a user may do in the virtual host, by regular expressions of names; "" is nothing.
func Restrict(t testing.TB, config rabbitmq.Config, user, configure, write, read string) {
	t.Helper()
	manage(t, http.MethodPut, "/api/permissions/"+url.PathEscape(VhostOf(t, config))+"/"+url.PathEscape(user),
		map[string]string{"configure": configure, "write": write, "read": read})
}

// Forbid takes from a user all permissions in the virtual host, and so the virtual host itself.
func Forbid(t testing.TB, config rabbitmq.Config, user string) {
	t.Helper()
	manage(t, http.MethodDelete, "/api/permissions/"+url.PathEscape(VhostOf(t, config))+"/"+url.PathEscape(user), nil)
}

// manage asks the management API for what only somebody who breaks things needs.
func manage(t testing.TB, method, path string, body any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, ManagementURL(t)+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, path, answer.Status)
	}
}
