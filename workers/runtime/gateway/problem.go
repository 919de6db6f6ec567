package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/composerp/composerp/exchange/event"
)

// problem is an answer by RFC 9457. Its type is about:blank: the status says what kind of problem it is.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Field is the path of the field that has the problem, such as payload.quantity.
	Field string `json:"field,omitempty"`
	// reason is an outcome of the metrics of events.
	reason string
}

func newProblem(status int, detail string) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func limited(detail string) *problem     { return newProblem(http.StatusTooManyRequests, detail) }
func unavailable(detail string) *problem { return newProblem(http.StatusServiceUnavailable, detail) }

// of names the field that has the problem.
func (p *problem) of(field string) *problem {
	p.Field = field
	return p
}

// because counts an event with the problem under an outcome.
func (p *problem) because(outcome string) *problem {
	p.reason = outcome
	return p
}

// ofEvent is the problem of an event that cannot be read.
func ofEvent(err error) *problem {
	status := http.StatusUnprocessableEntity
	if errors.Is(err, event.ErrTooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	p := newProblem(status, err.Error())
	if field, ok := errors.AsType[*event.FieldError](err); ok {
		p.Field = field.Field
		if field.Field == "" && status != http.StatusRequestEntityTooLarge {
			p.Status, p.Title = http.StatusBadRequest, http.StatusText(http.StatusBadRequest)
		}
	}
	return p.because(outcomeInvalid)
}

// write answers by the problem. What passes says when to try again.
func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	writeJSON(w, p.Status, p)
}

// writeJSON answers by a value. Its type is JSON unless the header has one already.
func writeJSON(w http.ResponseWriter, status int, value any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // the client has gone
}

// mediaType is a header's media type without its parameters, in small letters.
func mediaType(header string) string {
	name, _, _ := strings.Cut(header, ";")
	return strings.ToLower(strings.TrimSpace(name))
}
