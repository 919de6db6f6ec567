package exchange

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Vhost is the virtual host that the configuration leads to, "/" when it names none.
func (c Config) Vhost() (string, error) {
	if len(c.URLs) == 0 {
		return "", ErrBadURL
	}
	u, err := amqp.ParseURI(c.URLs[0])
	if err != nil {
		return "", ErrBadURL // the library's text may quote the password
	}
	return u.Vhost, nil
}

// Topology reads what a virtual host holds of ours: exchanges and queues whose names begin with "composerp.", and all
// bindings that lead to them. What is not as Compute makes it, transient for one, is told by an argument of no queue's:
// "durable", "auto-delete", "exclusive", "internal". Bindings of the default exchange, which every queue has, are left out.
func (m *Management) Topology(ctx context.Context, vhost string) (Topology, error) {
	var t Topology
	escaped := url.PathEscape(vhost)
	var objects []struct {
		Name       string         `json:"name"`
		Type       string         `json:"type"`
		Durable    bool           `json:"durable"`
		AutoDelete bool           `json:"auto_delete"`
		Exclusive  bool           `json:"exclusive"`
		Internal   bool           `json:"internal"`
		Arguments  map[string]any `json:"arguments"`
	}
	if err := m.call(ctx, http.MethodGet, "/api/exchanges/"+escaped+"?columns=name,type,durable,auto_delete,internal,arguments", nil, &objects); err != nil {
		return t, err
	}
	for _, e := range objects {
		if strings.HasPrefix(e.Name, prefix) {
			t.Exchanges = append(t.Exchanges, ExchangeSpec{Name: e.Name, Kind: e.Type,
				Arguments: odd(e.Arguments, property{"durable", e.Durable, true}, property{"auto-delete", e.AutoDelete, false}, property{"internal", e.Internal, false})})
		}
	}
	objects = nil
	if err := m.call(ctx, http.MethodGet, "/api/queues/"+escaped+"?columns=name,durable,auto_delete,exclusive,arguments", nil, &objects); err != nil {
		return t, err
	}
	for _, q := range objects {
		if strings.HasPrefix(q.Name, prefix) {
			t.Queues = append(t.Queues, QueueSpec{Name: q.Name,
				Arguments: odd(q.Arguments, property{"durable", q.Durable, true}, property{"auto-delete", q.AutoDelete, false}, property{"exclusive", q.Exclusive, false})})
		}
	}
	var bindings []struct {
		Source      string         `json:"source"`
		Destination string         `json:"destination"`
		Kind        string         `json:"destination_type"`
		RoutingKey  string         `json:"routing_key"`
		Arguments   map[string]any `json:"arguments"`
	}
	if err := m.call(ctx, http.MethodGet, "/api/bindings/"+escaped, nil, &bindings); err != nil {
		return t, err
	}
	for _, b := range bindings {
		if b.Source != "" && strings.HasPrefix(b.Destination, prefix) {
			spec := BindingSpec{Exchange: b.Source, RoutingKey: b.RoutingKey, Header: headerOf(b.Arguments)}
			if b.Kind == "exchange" {
				spec.To = b.Destination
			} else {
				spec.Queue = b.Destination
			}
			t.Bindings = append(t.Bindings, spec)
		}
	}
	return t, nil
}

// headerOf reads which header a binding asks for. Arguments that we would not give are told as they are, so that they differ from ours.
func headerOf(arguments map[string]any) string {
	if len(arguments) == 0 {
		return ""
	}
	for name := range arguments {
		if reflect.DeepEqual((BindingSpec{Header: name}).arguments(), arguments) {
			return name
		}
	}
	return said(arguments)
}

// property is something that all of ours have alike, and that AMQP does not count among the arguments.
type property struct {
	name      string
	is, ought bool
}

// odd adds to the arguments the properties that are not as they ought to be.
func odd(arguments map[string]any, properties ...property) map[string]any {
	for _, p := range properties {
		if p.is != p.ought {
			if arguments == nil {
				arguments = map[string]any{}
			}
			arguments[p.name] = p.is
		}
	}
	return arguments
}

// Definitions is the topology as RabbitMQ imports it, by `rabbitmqctl import_definitions`, by its management UI or at its start
// (load_definitions). It makes the virtual host and what is in it, and no user: permissions are given by whoever knows the users.
func (t Topology) Definitions(vhost string) ([]byte, error) {
	type object = map[string]any
	d := struct {
		Vhosts    []object `json:"vhosts"`
		Exchanges []object `json:"exchanges"`
		Queues    []object `json:"queues"`
		Bindings  []object `json:"bindings"`
		Policies  []object `json:"policies"`
	}{Vhosts: []object{{"name": vhost}}, Policies: []object{}}
	for _, e := range t.Exchanges {
		d.Exchanges = append(d.Exchanges, object{"name": e.Name, "vhost": vhost, "type": e.Kind, "durable": true, "auto_delete": false,
			"internal": false, "arguments": present(e.Arguments)})
	}
	for _, q := range t.Queues {
		d.Queues = append(d.Queues, object{"name": q.Name, "vhost": vhost, "durable": true, "auto_delete": false, "arguments": present(q.Arguments)})
	}
	for _, b := range t.Bindings {
		kind := "queue"
		if b.To != "" {
			kind = "exchange"
		}
		d.Bindings = append(d.Bindings, object{"source": b.Exchange, "vhost": vhost, "destination": b.Destination(), "destination_type": kind,
			"routing_key": b.RoutingKey, "arguments": present(b.arguments())})
	}
	return json.MarshalIndent(d, "", "  ")
}

func present(arguments map[string]any) map[string]any {
	if arguments == nil {
		return map[string]any{}
	}
	return arguments
}
