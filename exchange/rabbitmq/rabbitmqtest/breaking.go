package rabbitmqtest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

// DeleteExchange deletes an exchange, with all its bindings.
func DeleteExchange(t testing.TB, config rabbitmq.Config, name string) {
	t.Helper()
	manage(t, http.MethodDelete, "/api/exchanges/"+url.PathEscape(VhostOf(t, config))+"/"+url.PathEscape(name), nil, nil)
}

// DeleteQueue deletes a queue, with its messages and bindings.
func DeleteQueue(t testing.TB, config rabbitmq.Config, name string) {
	t.Helper()
	manage(t, http.MethodDelete, "/api/queues/"+url.PathEscape(VhostOf(t, config))+"/"+url.PathEscape(name), nil, nil)
}

// DeleteBinding deletes the binding of a queue.
func DeleteBinding(t testing.TB, config rabbitmq.Config, b topology.BindingSpec) {
	t.Helper()
	manage(t, http.MethodDelete, "/api/bindings/"+url.PathEscape(VhostOf(t, config))+"/e/"+url.PathEscape(b.Exchange)+"/q/"+
		url.PathEscape(b.Queue)+"/"+url.PathEscape(b.RoutingKey), nil, nil)
}

// Bind binds a queue, which is made unless its name is one of ours.
func Bind(t testing.TB, config rabbitmq.Config, b topology.BindingSpec) {
	t.Helper()
	vhost := url.PathEscape(VhostOf(t, config))
	if !strings.HasPrefix(b.Queue, topology.QueueName("")) {
		manage(t, http.MethodPut, "/api/queues/"+vhost+"/"+url.PathEscape(b.Queue), map[string]any{"durable": true}, nil)
	}
	manage(t, http.MethodPost, "/api/bindings/"+vhost+"/e/"+url.PathEscape(b.Exchange)+"/q/"+url.PathEscape(b.Queue), map[string]any{"routing_key": b.RoutingKey}, nil)
}

// SetPolicy gives the queues whose name matches the pattern what the definition says.
func SetPolicy(t testing.TB, config rabbitmq.Config, name, pattern string, definition map[string]any) {
	t.Helper()
	setPolicy(t, config, "policies", name, pattern, definition)
}

// SetOperatorPolicy is SetPolicy for an operator policy, which stands beside a policy.
func SetOperatorPolicy(t testing.TB, config rabbitmq.Config, name, pattern string, definition map[string]any) {
	t.Helper()
	setPolicy(t, config, "operator-policies", name, pattern, definition)
}

// DeletePolicy removes a policy that SetPolicy has set.
func DeletePolicy(t testing.TB, config rabbitmq.Config, name string) {
	t.Helper()
	manage(t, http.MethodDelete, "/api/policies/"+url.PathEscape(VhostOf(t, config))+"/"+name, nil, nil)
}

func setPolicy(t testing.TB, config rabbitmq.Config, kind, name, pattern string, definition map[string]any) {
	t.Helper()
	manage(t, http.MethodPut, "/api/"+kind+"/"+url.PathEscape(VhostOf(t, config))+"/"+name,
		map[string]any{"pattern": pattern, "definition": definition, "apply-to": "queues"}, nil)
}

// Restrict sets a user's permissions in the virtual host, by regular expressions of names; "" is none.
func Restrict(t testing.TB, config rabbitmq.Config, user, configure, write, read string) {
	t.Helper()
	manage(t, http.MethodPut, "/api/permissions/"+url.PathEscape(VhostOf(t, config))+"/"+url.PathEscape(user),
		map[string]string{"configure": configure, "write": write, "read": read}, nil)
}

// Forbid removes all permissions of a user in the virtual host.
func Forbid(t testing.TB, config rabbitmq.Config, user string) {
	t.Helper()
	manage(t, http.MethodDelete, "/api/permissions/"+url.PathEscape(VhostOf(t, config))+"/"+url.PathEscape(user), nil, nil)
}

// ConnectionState is one connection to the broker.
type ConnectionState struct {
	Name       string `json:"name"` // for CloseConnection
	Properties struct {
		ClientName string `json:"connection_name"` // as the client calls itself: "composerp/ledger@host#pid consuming"
		Product    string `json:"product"`
		Version    string `json:"version"`
		Role       string `json:"role"` // of our connections: publishing, consuming or declaring
	} `json:"client_properties"`
}

// Connections are the connections to the virtual host.
func Connections(t testing.TB, config rabbitmq.Config) (found []ConnectionState) {
	t.Helper()
	manage(t, http.MethodGet, "/api/vhosts/"+url.PathEscape(VhostOf(t, config))+"/connections", nil, &found)
	return found
}

// CloseConnection has the broker close a connection, and reports whether it was there.
func CloseConnection(t testing.TB, name string) bool {
	t.Helper()
	return call(t, http.MethodDelete, "/api/connections/"+url.PathEscape(name), nil, nil) < 300
}

// Vhosts are the names of the broker's virtual hosts.
func Vhosts(t testing.TB) (names []string) {
	t.Helper()
	var found []struct {
		Name string `json:"name"`
	}
	manage(t, http.MethodGet, "/api/vhosts?columns=name", nil, &found)
	for _, v := range found {
		names = append(names, v.Name)
	}
	return names
}

// manage calls the parts of the management API that only tests need.
func manage(t testing.TB, method, path string, body, result any) {
	t.Helper()
	if status := call(t, method, path, body, result); status >= 300 {
		t.Fatalf("%s %s: %s", method, path, http.StatusText(status))
	}
}

// call gives the status of the answer, which it decodes into result, unless nil.
func call(t testing.TB, method, path string, body, result any) (status int) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	// Tests also clean up by it, when their context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), localtest.Deadline(time.Minute))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, ManagementURL(t)+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	if result != nil && answer.StatusCode < 300 {
		if err := json.NewDecoder(answer.Body).Decode(result); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return answer.StatusCode
}
