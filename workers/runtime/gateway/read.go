package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/composerp/composerp/exchange/event"
)

// read reads an event that the key may publish.
func (k *holder) read(d document) (event.Any, *problem) {
	if d.bad != nil {
		return event.Any{}, d.bad
	}
	body := d.body
	if d.cloud != nil {
		var p *problem
		if body, p = d.cloud.envelope(k); p != nil {
			return event.Any{}, p
		}
	}
	e, err := event.DecodeOutside(body)
	if err != nil && lacksTenant(body) {
		e, err = event.DecodeOutside(withTenant(body, k.Tenant))
	}
	if err != nil {
		p := ofEvent(err)
		if d.cloud != nil {
			p.Field = cloudField(p.Field)
		}
		return event.Any{}, p
	}
	if p := k.refuse(e); p != nil {
		return event.Any{}, p.because(outcomeForbidden)
	}
	e.Metadata.Replay = 0 // no mark: only a replay makes one
	e.Metadata = e.Metadata.Or(event.Metadata{Source: k.Source})
	return e, nil
}

// refuse is why the key may not publish an event, nil when it may.
func (k *holder) refuse(e event.Any) *problem {
	definition, known := event.Lookup(e.Type)
	switch {
	case !known || !definition.Outside:
		return newProblem(http.StatusForbidden, fmt.Sprintf("%s is published by Composerp's own workers alone", e.Type)).of("eventType")
	case !k.mayPublish(e.Type):
		return newProblem(http.StatusForbidden, fmt.Sprintf("this key is not for %s: `composerp keys create --types` makes one that is", e.Type)).of("eventType")
	case e.TenantID != k.Tenant:
		return newProblem(http.StatusForbidden, "this key is for another tenant: leave tenantId out, or send the key's own").of("tenantId")
	case e.Metadata.Source != "" && e.Metadata.Source != k.Source:
		return newProblem(http.StatusForbidden, "this key is for another source: leave metadata.source out, or send the key's own").of("metadata.source")
	}
	return nil
}

// lacksTenant reports whether a body is an object without a tenantId.
func lacksTenant(body []byte) bool {
	var fields struct {
		Tenant *json.RawMessage `json:"tenantId"`
	}
	return json.Unmarshal(body, &fields) == nil && fields.Tenant == nil && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
}

// withTenant writes the tenant into an object that has none, as its first field. The rest stays byte for byte, so that
// the same event sent again is the same event.
func withTenant(body []byte, tenant string) []byte {
	rest := bytes.TrimLeft(body, " \t\r\n")[1:]
	name, _ := json.Marshal(tenant) // of a string it never fails
	comma := ","
	if bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte("}")) {
		comma = ""
	}
	return fmt.Appendf(nil, `{"tenantId":%s%s%s`, name, comma, rest)
}
