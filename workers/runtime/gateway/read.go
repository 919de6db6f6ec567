package gateway

import (
	"fmt"
	"net/http"
	"strings"

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
	if err != nil {
		if with, ok := withTenant(body, k.Tenant); ok {
			e, err = event.DecodeOutside(with)
		}
	}
	if err != nil {
		p := ofEvent(err)
		if d.cloud != nil {
			name := cloudField(p.Field)
			p.Detail = strings.Replace(p.Detail, p.Field, name, 1)
			p.Field = name
		}
		return event.Any{}, p
	}
	if p := k.refuse(e); p != nil {
		return event.Any{}, p.because(outcomeForbidden)
	}
	e.Metadata.Replay = 0 // no mark: only a replay makes one
	if e.Metadata.Source == "" {
		e.Metadata.Source, e.Body = k.Source, withSource(e.Body, k.Source)
	}
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
