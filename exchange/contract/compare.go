package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
)

// Change is one difference between a published set and a later one.
type Change struct {
	// Type is empty for the envelope, which every event has.
	Type    event.Type `json:"type,omitempty"`
	Version string     `json:"version,omitempty"`
	// Field is the path to the field, as in payload.lines[].quantity; empty for the whole.
	Field string `json:"field,omitempty"`
	// What has changed: "is required now".
	What string `json:"what"`
	// Breaking changes are refused: events that exist, or programs that exist, would fail.
	Breaking bool `json:"breaking"`
}

// IsBreaking reports whether a change of the list is.
func IsBreaking(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Breaking })
}

// Compare returns what has changed since a set was published, and which published events are no longer read. The error
// is of a schema that cannot be read.
//
// Breaking is what refuses an event that was fine (a new required field, a narrower type, enum, bound, pattern or
// format), and what a reader of the published schema cannot read (a field that is gone or may be absent, another type).
// An enum's new value and a wider bound are compatible: they are listed, for consumers that rely on them.
func Compare(published, now Set) ([]Change, error) {
	all, err := compareSchemas(schemaPair{was: parsed(published.Envelope), is: parsed(now.Envelope)}, Change{}, "")
	if err != nil {
		return nil, fmt.Errorf("comparing the envelope's schema: %w", err)
	}
	for _, was := range published.Types {
		changes, err := compareType(published, now, was)
		if err != nil {
			return nil, err
		}
		all = append(all, changes...)
	}
	for _, c := range now.Types {
		if _, old := published.Find(c.Type); !old {
			all = append(all, Change{Type: c.Type, Version: c.Version(), What: "is a new type"})
		}
	}
	return append(all, compareGolden(published, now)...), nil
}

func compareType(published, now Set, was Contract) (all []Change, err error) {
	is, ok := now.Find(was.Type)
	if !ok {
		return []Change{{Type: was.Type, What: "is gone: its events in the log and in queues cannot be read", Breaking: true}}, nil
	}
	add := func(version, what string, breaking bool) {
		all = append(all, Change{Type: was.Type, Version: version, What: what, Breaking: breaking})
	}
	if is.RoutingKey != was.RoutingKey {
		add("", fmt.Sprintf("has the routing key %s, it was %s: other programs' bindings get nothing", is.RoutingKey, was.RoutingKey), true)
	}
	if is.AggregateType != was.AggregateType {
		add("", fmt.Sprintf("has the aggregate type %s, it was %s", is.AggregateType, was.AggregateType), true)
	}
	if is.Outside != was.Outside {
		add("", map[bool]string{true: "may be published by external publishers now", false: "may no longer be published by external publishers"}[is.Outside], !is.Outside)
	}
	for _, v := range was.Versions {
		if !slices.Contains(is.Versions, v) {
			add(v, "is no longer read: its events in the log, in queues and of external publishers are refused; keep its schema, and add an upcaster", true)
			continue
		}
		changes, err := compareVersions(published, now, was.Type, v, v)
		if err != nil {
			return nil, err
		}
		all = append(all, changes...)
	}
	for i, v := range is.Versions {
		if slices.Contains(was.Versions, v) {
			continue
		}
		before := ""
		for _, other := range is.Versions[:i] {
			if major(other) == major(v) {
				before = other
			}
		}
		if before == "" {
			add(v, "is a new major version; events of the versions before are upcast", false)
			continue
		}
		add(v, "is a new minor version after "+before, false)
		changes, err := compareVersions(now, now, was.Type, before, v)
		if err != nil {
			return nil, err
		}
		all = append(all, changes...)
	}
	return all, nil
}

// compareVersions compares the schema of a version in one set with that of a version in another.
func compareVersions(published, now Set, t event.Type, from, to string) ([]Change, error) {
	pair := schemaPair{
		was: parsed(published.Schemas[Name(t, from)]), is: parsed(now.Schemas[Name(t, to)]),
		wasEnvelope: parsed(published.Envelope), isEnvelope: parsed(now.Envelope),
	}
	changes, err := compareSchemas(pair, Change{Type: t, Version: to}, "payload")
	if err != nil {
		return nil, fmt.Errorf("comparing the schema of %s %s: %w", t, to, err)
	}
	return changes, nil
}

// compareGolden reads each golden event ever published, in each later version, and looks for types without one.
func compareGolden(published, now Set) (all []Change) {
	check := func(c Contract, v string, events []string) {
		for n, body := range events {
			if problem := readable([]byte(body)); problem != nil {
				all = append(all, Change{Type: c.Type, Version: v, What: fmt.Sprintf("the golden event %d is no longer read: %s", n+1, problem), Breaking: true})
			}
		}
	}
	for _, c := range published.Types {
		if _, still := now.Find(c.Type); still {
			for _, v := range c.Versions {
				check(c, v, published.Golden[Name(c.Type, v)])
			}
		}
	}
	for _, c := range now.Types {
		for _, v := range c.Versions {
			name := Name(c.Type, v)
			check(c, v, slices.DeleteFunc(slices.Clone(now.Golden[name]), func(e string) bool { return slices.Contains(published.Golden[name], e) }))
			if len(published.Golden[name])+len(now.Golden[name]) == 0 {
				all = append(all, Change{Type: c.Type, Version: v, What: "has no golden event", Breaking: false})
			}
		}
	}
	return all
}

// readable holds an event to the schema of its own version and of each later one.
func readable(body []byte) error {
	if err := event.Validate(body); err != nil {
		return err
	}
	steps, err := event.Steps(body)
	if err != nil {
		return err
	}
	for _, later := range steps {
		if err := event.Validate(later); err != nil {
			return err
		}
	}
	_, err = event.Decode(body)
	return err
}

func major(version string) string {
	m, _, _ := strings.Cut(version, ".")
	return m
}
