package shadow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// Kinds of differences.
const (
	Different  = "different"
	Missing    = "missing"    // the live worker emitted it, the shadow did not
	Additional = "additional" // the shadow alone emitted it
)

// Difference is an emitted event that the two do not have alike.
type Difference struct {
	Kind string `json:"kind"`
	// Cause is the event that was handled.
	Cause     uuid.UUID       `json:"causeId"`
	CauseType event.Type      `json:"causeType"`
	Seq       int64           `json:"causeSeq"`
	Type      event.Type      `json:"eventType"`
	Aggregate string          `json:"aggregateId"`
	Fields    []Field         `json:"fields"` // of a different one
	Live      json.RawMessage `json:"live"`   // null of an additional one
	Shadow    json.RawMessage `json:"shadow"` // null of a missing one
}

// Field is a field of an event by its path, such as payload.available; a value is null where the event lacks it.
type Field struct {
	Path   string          `json:"path"`
	Live   json.RawMessage `json:"live"`
	Shadow json.RawMessage `json:"shadow"`
}

// Emissions counts emitted events.
type Emissions struct {
	Same       int64 `json:"same"`
	Different  int64 `json:"different"`
	Missing    int64 `json:"missing"`
	Additional int64 `json:"additional"`
}

// ignored are the fields that the harness carries on from the message, whose properties the log does not have.
var ignored = map[string]bool{
	"metadata.userId": true, "metadata.correlationId": true, "metadata.traceparent": true, "metadata.replay": true, "metadata.publishedAt": true,
}

// compareEmitted compares what one event led to.
func compareEmitted(cause event.Any, live, shadow []event.Any) (n Emissions, differences []Difference, err error) {
	pairs, liveLeft, shadowLeft := match(live, shadow)
	note := func(kind string, e event.Any, fields []Field, l, s json.RawMessage) {
		differences = append(differences, Difference{
			Kind: kind, Cause: cause.ID, CauseType: cause.Type, Seq: cause.LogSeq, Type: e.Type, Aggregate: e.AggregateID, Fields: fields, Live: l, Shadow: s,
		})
	}
	for _, p := range pairs {
		fields, err := fieldsOf(p[0].Body, p[1].Body)
		if err != nil {
			return n, nil, fmt.Errorf("comparing what event %s led to: %w", cause.ID, err)
		}
		if len(fields) == 0 {
			n.Same++
			continue
		}
		n.Different++
		note(Different, p[1], fields, p[0].Body, p[1].Body)
	}
	for _, e := range liveLeft {
		n.Missing++
		note(Missing, e, []Field{}, e.Body, nil)
	}
	for _, e := range shadowLeft {
		n.Additional++
		note(Additional, e, []Field{}, nil, e.Body)
	}
	return n, differences, nil
}

// match pairs events by id, and what is left over by type and aggregate.
func match(live, shadow []event.Any) (pairs [][2]event.Any, liveLeft, shadowLeft []event.Any) {
	liveLeft, shadowLeft = slices.Clone(live), slices.Clone(shadow)
	for _, alike := range []func(a, b event.Any) bool{
		func(a, b event.Any) bool { return a.ID == b.ID && a.Type == b.Type },
		func(a, b event.Any) bool { return a.Type == b.Type && a.AggregateID == b.AggregateID },
	} {
		var left []event.Any
		for _, l := range liveLeft {
			i := slices.IndexFunc(shadowLeft, func(s event.Any) bool { return alike(l, s) })
			if i < 0 {
				left = append(left, l)
				continue
			}
			pairs = append(pairs, [2]event.Any{l, shadowLeft[i]})
			shadowLeft = slices.Delete(shadowLeft, i, i+1)
		}
		liveLeft = left
	}
	return pairs, liveLeft, shadowLeft
}

// fieldsOf are the fields in which two bodies differ, sorted by path.
func fieldsOf(live, shadow []byte) ([]Field, error) {
	if bytes.Equal(live, shadow) {
		return nil, nil
	}
	l, s := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := flatten("", live, l); err != nil {
		return nil, err
	}
	if err := flatten("", shadow, s); err != nil {
		return nil, err
	}
	paths := map[string]bool{}
	for _, side := range []map[string]json.RawMessage{l, s} {
		for path := range side {
			paths[path] = !ignored[path]
		}
	}
	fields := []Field{}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if paths[path] && !bytes.Equal(l[path], s[path]) {
			fields = append(fields, Field{path, l[path], s[path]})
		}
	}
	return fields, nil
}

// flatten gives each value in nested objects its path. Arrays are values.
func flatten(path string, body []byte, into map[string]json.RawMessage) error {
	var fields map[string]json.RawMessage
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '{' {
		into[path] = trimmed
		return nil
	}
	if err := json.Unmarshal(body, &fields); err != nil {
		return err
	}
	for name, value := range fields {
		at := name
		if path != "" {
			at = path + "." + name
		}
		if err := flatten(at, value, into); err != nil {
			return err
		}
	}
	return nil
}
