package catalogue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/composerp/composerp/exchange/contract"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers"
)

// object is a JSON object; encoding/json writes its keys in order.
type object = map[string]any

// bindings is the version of AsyncAPI's AMQP bindings.
const bindings = "0.3.0"

// vhost is where a fleet lives that names no other.
const vhost = "composerp"

// AsyncAPI returns the AsyncAPI 3.0 document of a fleet: a channel for each event's routing key at composerp.events and
// for each worker's queue, what external systems may send, and what the workers send and receive.
func AsyncAPI(set contract.Set, entries []Entry, fleet workers.Declaration) ([]byte, error) {
	d := document{channels: object{}, operations: object{}, messages: object{}}
	for _, e := range entries {
		if err := d.event(set, e); err != nil {
			return nil, err
		}
	}
	for _, w := range fleet(workers.Config{}) {
		d.worker(w.Name(), w.Queue(), entries)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(object{
		"asyncapi": "3.0.0", "x-generated": "by composerp contracts export; make generate writes the one in docs/reference",
		"info": object{
			"title": "Composerp events", "version": "1.0.0",
			"description": "The events of a retail and distribution ERP, as the fleet publishes and consumes them over RabbitMQ. " +
				"Consumers ignore fields that they do not know.",
			"license": object{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		"defaultContentType": "application/json",
		"servers": object{"broker": object{
			"host": "localhost:5672", "protocol": "amqp", "protocolVersion": "0.9.1", "pathname": "/" + vhost,
			"description": "RabbitMQ 3.10 or later; `composerp up` prints the address of a private one.",
		}},
		"channels": d.channels, "operations": d.operations, "components": object{"messages": d.messages},
	})
	return b.Bytes(), err
}

type document struct{ channels, operations, messages object }

func ref(format string, args ...any) object { return object{"$ref": fmt.Sprintf(format, args...)} }

// event adds a type's messages, its channel, and what external systems may send.
func (d *document) event(set contract.Set, e Entry) error {
	messages := object{}
	for _, v := range e.Versions {
		m, err := message(set, e, v)
		if err != nil {
			return err
		}
		name := contract.Name(e.Type, v)
		d.messages[name] = m
		messages[name] = ref("#/components/messages/%s", name)
	}
	d.channels[string(e.Type)] = object{
		"address": e.RoutingKey, "title": string(e.Type), "description": e.Description, "messages": messages,
		"bindings": object{"amqp": object{
			"is": "routingKey", "bindingVersion": bindings,
			"exchange": object{"name": topology.Events, "type": "topic", "durable": true, "autoDelete": false, "vhost": vhost},
		}},
	}
	if e.Outside {
		d.operations["external.send."+string(e.Type)] = d.send(e, "External systems publish it, with the event's id as message id.")
	}
	for _, p := range e.PublishedBy {
		if p.Kind == Worker {
			d.operations[p.Name+".send."+string(e.Type)] = d.send(e, "The worker "+p.Name+" emits it; the relay publishes it from the log.")
		}
	}
	return nil
}

func (d *document) send(e Entry, summary string) object {
	return object{
		"action": "send", "summary": summary, "channel": ref("#/channels/%s", e.Type),
		"messages": []object{ref("#/channels/%s/messages/%s", e.Type, contract.Name(e.Type, e.Version()))},
		"bindings": object{"amqp": object{"deliveryMode": 2, "bindingVersion": bindings}},
	}
}

// worker adds a worker's queue and what it receives from it.
func (d *document) worker(name, queue string, entries []Entry) {
	messages, received := object{}, []object{}
	for _, e := range entries {
		for _, consumer := range e.ConsumedBy {
			if consumer != name {
				continue
			}
			for _, v := range e.Versions {
				m := contract.Name(e.Type, v)
				messages[m] = ref("#/components/messages/%s", m)
				received = append(received, ref("#/channels/%s/messages/%s", queue, m))
			}
		}
	}
	if len(received) == 0 {
		return // it drains a queue of another kind
	}
	d.channels[queue] = object{
		"address": queue, "title": "Queue of the worker " + name, "messages": messages,
		"bindings": object{"amqp": object{
			"is": "queue", "bindingVersion": bindings,
			"queue": object{"name": queue, "durable": true, "exclusive": false, "autoDelete": false, "vhost": vhost},
		}},
	}
	d.operations[name+".receive"] = object{
		"action": "receive", "summary": "The worker " + name + " consumes its queue, and acknowledges after its transaction.",
		"channel": ref("#/channels/%s", queue), "messages": received,
		"bindings": object{"amqp": object{"ack": true, "bindingVersion": bindings}},
	}
}

// message is a type in one version: the whole event's schema, with no reference in it, since AsyncAPI's own schemas
// ignore what stands beside one.
func message(set contract.Set, e Entry, version string) (object, error) {
	whole, err := contract.Inlined(set.Envelope, set.Envelope)
	if err != nil {
		return nil, fmt.Errorf("describing the envelope: %w", err)
	}
	payload, err := contract.Inlined(set.Schemas[contract.Name(e.Type, version)], set.Envelope)
	if err != nil {
		return nil, fmt.Errorf("describing %s %s: %w", e.Type, version, err)
	}
	properties, _ := whole["properties"].(object)
	properties["payload"] = payload
	properties["eventType"] = object{"type": "string", "const": string(e.Type)}
	properties["version"] = object{"type": "string", "const": version}
	examples := []object{}
	for i, body := range set.Golden[contract.Name(e.Type, version)] {
		examples = append(examples, object{"name": fmt.Sprintf("golden%d", i+1), "payload": json.RawMessage(body)})
	}
	return object{
		"name": string(e.Type), "title": titleOf(string(e.Type)) + ", version " + version, "summary": e.Description, "contentType": "application/json",
		"correlationId": object{"description": "The same for all events that follow from one.", "location": "$message.payload#/metadata/correlationId"},
		"payload":       whole, "examples": examples,
		"bindings": object{"amqp": object{"messageType": string(e.Type), "bindingVersion": bindings}},
	}, nil
}

// titleOf is SALE_COMPLETED as Sale completed.
func titleOf(typ string) string {
	words := strings.ToLower(strings.ReplaceAll(typ, "_", " "))
	return strings.ToUpper(words[:1]) + words[1:]
}
