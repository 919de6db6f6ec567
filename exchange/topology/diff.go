package topology

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Difference is one thing in which a broker differs from a topology.
type Difference struct {
	Kind  string `json:"kind"` // exchange, queue, binding or policy
	Name  string `json:"name"` // a binding's reads "composerp.events -> composerp.ledger"
	State State  `json:"state"`
	// Property is what differs: "type", or an argument. A binding's is its routing key, or the header it requires.
	Property string `json:"property,omitempty"`
	Want     any    `json:"want"` // nil: should not exist
	Have     any    `json:"have"` // nil: does not exist
	// Effect is what a policy does, and to which queues.
	Effect string `json:"effect,omitempty"`
}

// String describes the difference in words.
func (d Difference) String() string {
	switch {
	case d.State == Changed:
		return fmt.Sprintf("%s %s, %s", d.Property, Literal(d.Have), d.Effect)
	case d.State == Mismatch:
		return fmt.Sprintf("%s is %s, want %s", d.Property, Literal(d.Have), Literal(d.Want))
	case d.Kind == "binding" && strings.HasPrefix(d.Property, headerMark):
		return d.Property
	case d.Kind == "binding":
		return "key " + Literal(d.Property)
	}
	return ""
}

// Literal is a value as JSON; a missing one is "nothing".
func Literal(v any) string {
	if v == nil {
		return "nothing"
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

// State is the kind of a difference.
type State string

// The states of an exchange, queue or binding that differs.
const (
	Missing  State = "missing"  // `topology apply` declares it
	Extra    State = "extra"    // the fleet does not need it; nothing deletes it unasked
	Mismatch State = "mismatch" // cannot be changed in place
	Changed  State = "changed"  // a policy changes what queues do; changing or clearing the policy ends that
)

// Diff compares a broker's topology with the wanted one, t. The result is empty when they are equal, else in the order
// of t, with extra things last.
func (t Topology) Diff(have Topology) []Difference {
	found := []Difference{}
	found = append(found, diffObjects("exchange", describeExchanges(t.Exchanges), describeExchanges(have.Exchanges))...)
	found = append(found, diffObjects("queue", describeQueues(t.Queues), describeQueues(have.Queues))...)
	return append(found, diffBindings(t.Bindings, have.Bindings)...)
}

// object is an exchange or a queue by its properties.
type object struct {
	name       string
	properties map[string]any
}

func describeExchanges(specs []ExchangeSpec) []object {
	var objects []object
	for _, e := range specs {
		properties := normalized(e.Arguments)
		properties["type"] = e.Kind
		objects = append(objects, object{e.Name, properties})
	}
	return objects
}

func describeQueues(specs []QueueSpec) []object {
	var objects []object
	for _, q := range specs {
		objects = append(objects, object{q.Name, normalized(q.Arguments)})
	}
	return objects
}

// normalized returns arguments with JSON's types: numbers of the management API are no int64.
func normalized(arguments map[string]any) map[string]any {
	properties := map[string]any{}
	raw, err := json.Marshal(arguments)
	if err == nil {
		err = json.Unmarshal(raw, &properties)
	}
	if err != nil || properties == nil {
		return map[string]any{}
	}
	return properties
}

func diffObjects(kind string, want, have []object) []Difference {
	var found []Difference
	has := map[string]object{}
	for _, o := range have {
		has[o.name] = o
	}
	for _, w := range want {
		h, ok := has[w.name]
		delete(has, w.name)
		if !ok {
			found = append(found, Difference{Kind: kind, Name: w.name, State: Missing, Want: w.properties})
			continue
		}
		names := maps.Clone(w.properties)
		maps.Copy(names, h.properties)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !reflect.DeepEqual(w.properties[name], h.properties[name]) {
				found = append(found, Difference{Kind: kind, Name: w.name, State: Mismatch, Property: name, Want: w.properties[name], Have: h.properties[name]})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(has)) {
		found = append(found, Difference{Kind: kind, Name: name, State: Extra, Have: has[name].properties})
	}
	return found
}

// Surplus returns the bindings through which the topology's queues and exchanges get more than they ask for: of an
// older version, or added by hand.
func (t Topology) Surplus(have Topology) []BindingSpec {
	ours := map[string]bool{}
	for _, e := range t.Exchanges {
		ours[e.Name] = true
	}
	joined := func(b BindingSpec) bool {
		return ours[b.Exchange] && (ours[b.To] || slices.ContainsFunc(t.Queues, func(q QueueSpec) bool { return q.Name == b.Queue }))
	}
	var surplus []BindingSpec
	for _, b := range extraBindings(t.Bindings, have.Bindings) {
		if joined(b) && b.Header == "" {
			surplus = append(surplus, b)
		}
	}
	return surplus
}

// headerMark precedes a header in the place of a routing key.
const headerMark = "header "

// Condition is what a message must match to pass: a routing key, "header x-relayed" or "header x-lane=5".
func (b BindingSpec) Condition() string {
	switch {
	case b.Header == "":
		return b.RoutingKey
	case b.Value != "":
		return headerMark + b.Header + "=" + b.Value
	}
	return headerMark + b.Header
}

func diffBindings(want, have []BindingSpec) []Difference {
	var found []Difference
	for _, b := range want {
		if !slices.Contains(have, b) {
			found = append(found, Difference{Kind: "binding", Name: b.Exchange + " -> " + b.Destination(), State: Missing, Property: b.Condition(), Want: b.Condition()})
		}
	}
	for _, b := range extraBindings(want, have) {
		found = append(found, Difference{Kind: "binding", Name: b.Exchange + " -> " + b.Destination(), State: Extra, Property: b.Condition(), Have: b.Condition()})
	}
	return found
}

// extraBindings returns the bindings a broker has beyond the wanted, in order.
func extraBindings(want, have []BindingSpec) []BindingSpec {
	extra := slices.DeleteFunc(slices.Clone(have), func(b BindingSpec) bool { return slices.Contains(want, b) })
	slices.SortFunc(extra, func(a, b BindingSpec) int {
		return strings.Compare(a.Exchange+" "+a.Destination()+" "+a.Condition(), b.Exchange+" "+b.Destination()+" "+b.Condition())
	})
	return slices.Compact(extra)
}
