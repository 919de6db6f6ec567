package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/composerp/composerp/exchange/event"
)

// What an event leaves out of its tenant and source is written into its body, as the first field of its object. The
// rest stays byte for byte, so that the same event sent again with the same key is the same event.

// withTenant writes the tenant into a body that is an object without a tenantId; ok is false for any other.
func withTenant(body []byte, tenant string) (with []byte, ok bool) {
	at, found := member(body, "tenantId")
	if at < 0 || found {
		return nil, false
	}
	return insert(body, at, "tenantId", tenant), true
}

// withSource writes the source into the metadata of a body that was read as an event and has none.
func withSource(body []byte, source string) []byte {
	at, found := member(body, "metadata")
	if !found {
		return insert(body, at, "metadata", event.Metadata{Source: source})
	}
	return insert(body, at, "source", source)
}

// member finds a member of a JSON object: it returns where the member's own object begins, or where the whole object
// does when it is not found; -1 when the body is no object.
func member(body []byte, name string) (at int, found bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return -1, false
	}
	begin := int(d.InputOffset()) - 1
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return -1, false
		}
		if key == name {
			return int(d.InputOffset()) - len(value), true
		}
	}
	return begin, false
}

// insert writes a field into the object that begins at a place.
func insert(body []byte, at int, name string, value any) []byte {
	text, _ := json.Marshal(value) // of texts it never fails
	rest, comma := body[at+1:], ","
	if bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte("}")) {
		comma = ""
	}
	return fmt.Appendf(nil, `%s{"%s":%s%s%s`, body[:at], name, text, comma, rest)
}
