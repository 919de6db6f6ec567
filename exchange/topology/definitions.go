package topology

// Definitions is a topology in RabbitMQ's import format, for `rabbitmqctl import_definitions`, the management UI or
// load_definitions: its JSON. It has the virtual host and everything in it, but no users: package roles has these.
type Definitions struct {
	Vhosts    []definition `json:"vhosts"`
	Exchanges []definition `json:"exchanges"`
	Queues    []definition `json:"queues"`
	Bindings  []definition `json:"bindings"`
	Policies  []definition `json:"policies"`
}

type definition = map[string]any

// Definitions returns the definitions of a virtual host of that name with the topology.
func (t Topology) Definitions(vhost string) Definitions {
	d := Definitions{Vhosts: []definition{{"name": vhost}}, Exchanges: []definition{}, Queues: []definition{}, Bindings: []definition{}, Policies: []definition{}}
	for _, e := range t.Exchanges {
		d.Exchanges = append(d.Exchanges, definition{"name": e.Name, "vhost": vhost, "type": e.Kind, "durable": true, "auto_delete": false,
			"internal": false, "arguments": present(e.Arguments)})
	}
	for _, q := range t.Queues {
		d.Queues = append(d.Queues, definition{"name": q.Name, "vhost": vhost, "durable": true, "auto_delete": false, "arguments": present(q.Arguments)})
	}
	for _, b := range t.Bindings {
		kind := "queue"
		if b.To != "" {
			kind = "exchange"
		}
		d.Bindings = append(d.Bindings, definition{"source": b.Exchange, "vhost": vhost, "destination": b.Destination(), "destination_type": kind,
			"routing_key": b.RoutingKey, "arguments": present(b.Arguments())})
	}
	return d
}

func present(arguments map[string]any) map[string]any {
	if arguments == nil {
		return map[string]any{}
	}
	return arguments
}
