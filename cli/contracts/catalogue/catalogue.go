// Package catalogue puts together what is known of the events of a fleet: the contract of each type with its fields and
// examples, who publishes it and who consumes it. The commands contracts and flow, the AsyncAPI document and the HTML
// catalogue show it.
package catalogue

import (
	"encoding/json"
	"slices"

	"github.com/composerp/composerp/exchange/contract"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
)

// Entry is an event type.
type Entry struct {
	contract.Contract
	Description string `json:"description"`
	// PublishedBy are workers, commands and external systems; ConsumedBy are workers.
	PublishedBy []Publisher       `json:"publishedBy"`
	ConsumedBy  []string          `json:"consumedBy"`
	Fields      []Field           `json:"fields"`
	Examples    []json.RawMessage `json:"examples"`
}

// Publisher publishes events of a type.
type Publisher struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
}

// Kind is what a publisher is.
type Kind string

// The kinds of publishers.
const (
	Worker   Kind = "worker"
	Command  Kind = "command"
	External Kind = "external"
)

// externalSystems are the tills and warehouses that publish over AMQP.
var externalSystems = Publisher{"external systems", External}

// commands are the commands that publish a type. Those of workers follow from their declarations.
var commands = map[event.Type][]string{
	event.TypeStockCounted:           {"composerp stock import"},
	event.TypeRuleChanged:            {"composerp rule"},
	event.TypePurchaseOrderApproved:  {"composerp po approve"},
	event.TypePurchaseOrderCancelled: {"composerp po reject"},
	event.TypePurchaseOrderClosed:    {"composerp po close"},
}

// Of returns the entries of a set's types, in its order, with the publishers and consumers of a fleet. The fields and
// examples are those of the version that is written.
func Of(set contract.Set, fleet workers.Declaration) ([]Entry, error) {
	declared := fleet(workers.Config{})
	entries := make([]Entry, 0, len(set.Types))
	for _, c := range set.Types {
		e, err := entryIn(set, c, c.Version())
		if err != nil {
			return nil, err
		}
		if c.Outside {
			e.PublishedBy = append(e.PublishedBy, externalSystems, Publisher{"composerp import", Command}, Publisher{"composerp publish", Command})
		}
		for _, w := range declared {
			if slices.Contains(w.Emits, c.Type) {
				e.PublishedBy = append(e.PublishedBy, Publisher{w.Name(), Worker})
			}
			if slices.Contains(w.Types(), c.Type) {
				e.ConsumedBy = append(e.ConsumedBy, w.Name())
			}
		}
		for _, name := range commands[c.Type] {
			e.PublishedBy = append(e.PublishedBy, Publisher{name, Command})
		}
		slices.Sort(e.ConsumedBy)
		entries = append(entries, e)
	}
	return entries, nil
}

// In returns the entry with the fields and examples of another version.
func (e Entry) In(set contract.Set, version string) (Entry, error) {
	in, err := entryIn(set, e.Contract, version)
	in.PublishedBy, in.ConsumedBy = e.PublishedBy, e.ConsumedBy
	return in, err
}

func entryIn(set contract.Set, c contract.Contract, version string) (Entry, error) {
	e := Entry{Contract: c, PublishedBy: []Publisher{}, ConsumedBy: []string{}, Examples: []json.RawMessage{}}
	s, err := parse(set.Schemas[contract.Name(c.Type, version)])
	if err != nil {
		return e, err
	}
	e.Description = s.Description
	if e.Fields, err = s.fields(""); err != nil {
		return e, err
	}
	for _, body := range set.Golden[contract.Name(c.Type, version)] {
		e.Examples = append(e.Examples, json.RawMessage(body))
	}
	return e, nil
}

// Names are the names of publishers.
func Names(publishers []Publisher) []string {
	names := make([]string, len(publishers))
	for i, p := range publishers {
		names[i] = p.Name
	}
	return names
}
