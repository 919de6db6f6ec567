package topology

import "encoding/json"

// Definitions returns the topology in RabbitMQ's import format, for `rabbitmqctl import_definitions`, the management
// UI or load_definitions. It contains the virtual host and everything in it, but no users: permissions need their
// names.
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
			"routing_key": b.RoutingKey, "arguments": present(b.Arguments())})
	}
	return json.MarshalIndent(d, "", "  ")
}

func present(arguments map[string]any) map[string]any {
	if arguments == nil {
		return map[string]any{}
	}
	return arguments
}
