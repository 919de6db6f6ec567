package management

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/composerp/composerp/exchange/topology"
)

// Topology reads what a virtual host holds of ours: exchanges and queues whose names begin with "composerp.", and all
// bindings that lead to them. What is not as Compute makes it, transient for one, is told by an argument of no queue's:
// "durable", "auto-delete", "exclusive", "internal". Bindings of the default exchange, which every queue has, are left out.
func (m *Client) Topology(ctx context.Context, vhost string) (topology.Topology, error) {
	var t topology.Topology
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
		if strings.HasPrefix(e.Name, topology.Prefix) {
			t.Exchanges = append(t.Exchanges, topology.ExchangeSpec{Name: e.Name, Kind: e.Type,
				Arguments: withProperties(e.Arguments, property{"durable", e.Durable, true}, property{"auto-delete", e.AutoDelete, false}, property{"internal", e.Internal, false})})
		}
	}
	objects = nil
	if err := m.call(ctx, http.MethodGet, "/api/queues/"+escaped+"?columns=name,durable,auto_delete,exclusive,arguments", nil, &objects); err != nil {
		return t, err
	}
	for _, q := range objects {
		if strings.HasPrefix(q.Name, topology.Prefix) {
			t.Queues = append(t.Queues, topology.QueueSpec{Name: q.Name,
				Arguments: withProperties(q.Arguments, property{"durable", q.Durable, true}, property{"auto-delete", q.AutoDelete, false}, property{"exclusive", q.Exclusive, false})})
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
		if b.Source != "" && strings.HasPrefix(b.Destination, topology.Prefix) {
			spec := topology.BindingSpec{Exchange: b.Source, RoutingKey: b.RoutingKey, Header: headerOf(b.Arguments)}
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
		if reflect.DeepEqual((topology.BindingSpec{Header: name}).Arguments(), arguments) {
			return name
		}
	}
	return topology.Literal(arguments)
}

// property is something that all of ours have alike, and that AMQP does not count among the arguments.
type property struct {
	name      string
	is, ought bool
}

// odd adds to the arguments the properties that are not as they ought to be.
func withProperties(arguments map[string]any, properties ...property) map[string]any {
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
