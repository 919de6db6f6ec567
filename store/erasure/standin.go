package erasure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
)

// mark is the field of metadata that names what was erased.
const mark = "erased"

// member is a member of an object. Values are kept byte for byte: numbers are exact decimals.
type member struct {
	name  string
	value json.RawMessage
}

func membersOf(object []byte) (members []member, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err = d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: name.(string)}
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

func objectOf(members []member) (json.RawMessage, error) {
	text := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			text = append(text, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, name...), ':'), m.value...)
	}
	return append(text, '}'), nil
}

func itemsOf(array []byte) (items []json.RawMessage, err error) {
	return items, json.Unmarshal(array, &items)
}

func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }
func isArray(value []byte) bool  { return len(value) > 0 && value[0] == '[' }

// editing takes fields out of a body.
type editing struct {
	values []json.RawMessage // what was erased
}

// erase erases the field at a path below a value. An array's items are each looked at.
func (e *editing) erase(value json.RawMessage, path []string, replace bool) (json.RawMessage, error) {
	switch {
	case isArray(value):
		items, err := itemsOf(value)
		if err != nil {
			return nil, err
		}
		for i := range items {
			if items[i], err = e.erase(items[i], path, replace); err != nil {
				return nil, err
			}
		}
		return json.RawMessage("[" + string(bytes.Join(rawOf(items), []byte{','})) + "]"), nil
	case !isObject(value):
		return value, nil
	}
	members, err := membersOf(value)
	if err != nil {
		return nil, err
	}
	kept := members[:0]
	for _, m := range members {
		switch {
		case m.name != path[0]:
		case len(path) > 1:
			if m.value, err = e.erase(m.value, path[1:], replace); err != nil {
				return nil, err
			}
		case replace && string(m.value) == erased:
		default:
			e.values = append(e.values, m.value)
			if !replace {
				continue
			}
			m.value = json.RawMessage(erased)
		}
		kept = append(kept, m)
	}
	return objectOf(kept)
}

func rawOf(items []json.RawMessage) [][]byte {
	raw := make([][]byte, len(items))
	for i := range items {
		raw[i] = items[i]
	}
	return raw
}

// erasable lists the fields below a value that can be erased.
func erasable(value json.RawMessage, at *schema, path string, take func(field string)) error {
	if isArray(value) {
		items, err := itemsOf(value)
		for _, item := range items {
			if err := erasable(item, at, path, take); err != nil {
				return err
			}
		}
		return err
	}
	if !isObject(value) {
		return nil
	}
	members, err := membersOf(value)
	if err != nil {
		return err
	}
	for _, m := range members {
		field := path + "." + m.name
		switch below, _ := at.of(m.name); {
		case strings.Contains(m.name, "."):
			return fmt.Errorf("the field %q has a point in its name: name the field that it stands in", field)
		case below == nil || below.isText():
			take(field)
		case field != "metadata."+mark:
			if err := erasable(m.value, below, field, take); err != nil {
				return err
			}
		}
	}
	return nil
}

// standIn is a body without the fields, and which of them it had. none: it had none of them, and is as it was.
func standIn(body []byte, fields []string) (stand []byte, had []string, values []json.RawMessage, err error) {
	var envelope struct {
		Type    event.Type `json:"eventType"`
		Version string     `json:"version"`
		Payload json.RawMessage
		// Metadata may be missing.
		Metadata json.RawMessage
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, nil, nil, fmt.Errorf("its body is no event: %w", err)
	}
	s, err := schemaOf(envelope.Type, envelope.Version)
	if err != nil {
		return nil, nil, nil, err
	}
	if slices.Contains(fields, All) {
		fields = nil
		for part, value := range map[string]json.RawMessage{"payload": envelope.Payload, "metadata": envelope.Metadata} {
			if err := erasable(value, s.Properties[part], part, func(field string) { fields = append(fields, field) }); err != nil {
				return nil, nil, nil, err
			}
		}
	}
	slices.Sort(fields)
	stand = body
	for _, field := range slices.Compact(fields) {
		replace, err := s.may(field, envelope.Type)
		if err != nil {
			return nil, nil, nil, err
		}
		var e editing
		if stand, err = e.erase(stand, strings.Split(field, "."), replace); err != nil {
			return nil, nil, nil, fmt.Errorf("erasing %s: %w", field, err)
		}
		if len(e.values) > 0 {
			had, values = append(had, field), append(values, e.values...)
		}
	}
	if len(had) == 0 {
		return body, nil, nil, nil
	}
	if stand, err = marked(stand, had); err != nil {
		return nil, nil, nil, err
	}
	if err := event.Validate(stand); err != nil {
		return nil, nil, nil, fmt.Errorf("without %s it is no %s any more: %w", strings.Join(had, ", "), envelope.Type, err)
	}
	return stand, had, values, nil
}

// marked notes in metadata what was erased, beside what was erased before.
func marked(body []byte, fields []string) ([]byte, error) {
	members, err := membersOf(body)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(members, func(m member) bool { return m.name == "metadata" })
	if i < 0 || !isObject(members[i].value) {
		i = len(members)
		members = append(members, member{"metadata", json.RawMessage("{}")})
	}
	metadata, err := membersOf(members[i].value)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(fields)
	metadata = slices.DeleteFunc(metadata, func(m member) bool {
		var before []string
		if m.name == mark && json.Unmarshal(m.value, &before) == nil {
			all = append(all, before...)
		}
		return m.name == mark
	})
	slices.Sort(all)
	list, err := json.Marshal(slices.Compact(all))
	if err != nil {
		return nil, err
	}
	if members[i].value, err = objectOf(append(metadata, member{mark, list})); err != nil {
		return nil, err
	}
	return objectOf(members)
}

// still tells whether an erased text stands elsewhere in a body.
func still(body []byte, values []json.RawMessage) bool {
	for _, v := range values {
		text := strings.Trim(string(v), `"`)
		if len(text) >= 3 && !isObject(v) && !isArray(v) && bytes.Contains(body, []byte(text)) {
			return true
		}
	}
	return false
}
