package management

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/composerp/composerp/exchange/topology"
)

// Topology reads our part of a virtual host: exchanges and queues whose names begin with "composerp.", all bindings to
// them, and as foreign the bindings of others to our exchanges. A property that Compute never sets, such as transient,
// appears as an argument that no queue has: "durable", "auto-delete", "exclusive", "internal". Bindings of the default
// exchange are left out.
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
	bindings, err := m.bindings(ctx, "/api/bindings/"+escaped)
	if err != nil {
		return t, err
	}
	for _, b := range bindings {
		switch ours := strings.HasPrefix(b.Destination, topology.Prefix); {
		case b.Source != "" && ours:
			t.Bindings = append(t.Bindings, b.spec())
		case strings.HasPrefix(b.Source, topology.Prefix):
			t.Foreign = append(t.Foreign, b.spec())
		}
	}
	return t, nil
}

// BindingsFrom reads all bindings from an exchange, those of other programs' queues too.
func (m *Client) BindingsFrom(ctx context.Context, vhost, exchange string) ([]topology.BindingSpec, error) {
	bindings, err := m.bindings(ctx, "/api/exchanges/"+url.PathEscape(vhost)+"/"+url.PathEscape(exchange)+"/bindings/source")
	specs := make([]topology.BindingSpec, len(bindings))
	for i, b := range bindings {
		specs[i] = b.spec()
	}
	return specs, err
}

type binding struct {
	Source      string         `json:"source"`
	Destination string         `json:"destination"`
	Kind        string         `json:"destination_type"`
	RoutingKey  string         `json:"routing_key"`
	Arguments   map[string]any `json:"arguments"`
}

func (m *Client) bindings(ctx context.Context, path string) (found []binding, err error) {
	err = m.call(ctx, http.MethodGet, path, nil, &found)
	return found, err
}

func (b binding) spec() topology.BindingSpec {
	spec := topology.BindingSpec{Exchange: b.Source, RoutingKey: b.RoutingKey}
	spec.Header, spec.Value = headerOf(b.Arguments)
	if b.Kind == "exchange" {
		spec.To = b.Destination
	} else {
		spec.Queue = b.Destination
	}
	return spec
}

// headerOf returns the header that a binding requires, and its value. Unknown arguments are returned as they are, so
// that they differ from ours.
func headerOf(arguments map[string]any) (header, value string) {
	if len(arguments) == 0 {
		return "", ""
	}
	for name, wanted := range arguments {
		text, _ := wanted.(string)
		ours := topology.BindingSpec{Header: name, Value: text}.Arguments()
		if len(ours) == 2 && reflect.DeepEqual(ours, arguments) { // not x-match itself
			return name, text
		}
	}
	return topology.Literal(arguments), ""
}

// property is the same for all of ours and not among the AMQP arguments.
type property struct {
	name      string
	is, ought bool
}

// withProperties adds to the arguments the properties that differ from ours.
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
