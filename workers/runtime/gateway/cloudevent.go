package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// cloudEvent is a CloudEvent 1.0 with the attributes that the envelope has a place for. Others are left out.
//
//	id                eventId; one that is no UUID becomes UUIDv5 of the key's source, the attribute source, and it
//	type              eventType, such as SALE_COMPLETED
//	subject           aggregateId
//	time              timestamp; where it is missing, data.timestamp
//	data              payload
//	eventversion      version; where it is missing, the type's current one
//	correlationid, causationid, userid, traceparent    metadata
type cloudEvent struct {
	SpecVersion   string          `json:"specversion"`
	ID            string          `json:"id"`
	Type          string          `json:"type"`
	Source        string          `json:"source"`
	Subject       string          `json:"subject"`
	Time          string          `json:"time"`
	ContentType   string          `json:"datacontenttype"`
	Version       string          `json:"eventversion"`
	Tenant        string          `json:"tenantid"`
	CorrelationID string          `json:"correlationid"`
	CausationID   string          `json:"causationid"`
	UserID        string          `json:"userid"`
	Traceparent   string          `json:"traceparent"`
	Data          json.RawMessage `json:"data"`
	Base64        json.RawMessage `json:"data_base64"`
}

// structuredEvent reads a CloudEvent in structured mode.
func structuredEvent(body []byte) document {
	var c cloudEvent
	if err := json.Unmarshal(body, &c); err != nil {
		return document{bad: newProblem(http.StatusBadRequest, "the CloudEvent is no JSON object with attributes of text: "+err.Error()).because(outcomeInvalid)}
	}
	return document{cloud: &c}
}

// binaryEvent reads a CloudEvent in binary mode: attributes are headers, percent-encoded, and the body is the data.
func binaryEvent(header http.Header, body []byte) (*cloudEvent, *problem) {
	c := &cloudEvent{ContentType: header.Get("Content-Type"), Data: body}
	for name, to := range map[string]*string{
		"Specversion": &c.SpecVersion, "Id": &c.ID, "Type": &c.Type, "Source": &c.Source, "Subject": &c.Subject, "Time": &c.Time,
		"Eventversion": &c.Version, "Tenantid": &c.Tenant, "Correlationid": &c.CorrelationID, "Causationid": &c.CausationID, "Userid": &c.UserID,
		"Traceparent": &c.Traceparent,
	} {
		value, err := url.PathUnescape(header.Get("Ce-" + name))
		if err != nil {
			return nil, newProblem(http.StatusBadRequest, "the header is not percent-encoded as CloudEvents wants it").of("ce-" + strings.ToLower(name))
		}
		*to = strings.Trim(value, `"`)
	}
	return c, nil
}

// envelope writes the CloudEvent as the event of a key: the same CloudEvent is written as the same bytes.
func (c *cloudEvent) envelope(k *holder) ([]byte, *problem) {
	bad := func(field, detail string) ([]byte, *problem) {
		return nil, newProblem(http.StatusUnprocessableEntity, field+": "+detail).of(field).because(outcomeInvalid)
	}
	definition, known := event.Lookup(event.Type(c.Type))
	data := bytes.TrimSpace(c.Data)
	switch {
	case c.SpecVersion != "1.0":
		return bad("specversion", "want 1.0")
	case c.ID == "":
		return bad("id", "is missing")
	case c.Source == "":
		return bad("source", "is missing")
	case !known:
		return bad("type", "want the name of an event type, such as SALE_COMPLETED")
	case c.Subject == "":
		return bad("subject", "want the id of what the event is about, such as the sale's")
	case c.Base64 != nil:
		return bad("data_base64", "want the payload as JSON, in data")
	case c.ContentType != "" && mediaType(c.ContentType) != typeJSON:
		return bad("datacontenttype", "want "+typeJSON)
	case len(data) == 0 || !json.Valid(data) || data[0] != '{':
		return bad("data", "want the payload, a JSON object")
	}
	id, err := uuid.Parse(c.ID)
	if err != nil {
		id = uuid.NewSHA1(uuid.NameSpaceURL, []byte(k.Source+"\n"+c.Source+"\n"+c.ID))
	}
	at := c.Time
	if at == "" {
		var payload struct {
			Timestamp string `json:"timestamp"`
		}
		if json.Unmarshal(data, &payload) != nil || payload.Timestamp == "" {
			return bad("time", "is missing, and data.timestamp too")
		}
		at = payload.Timestamp
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err = e.Encode(struct {
		ID            uuid.UUID         `json:"eventId"`
		Type          string            `json:"eventType"`
		AggregateType string            `json:"aggregateType"`
		AggregateID   string            `json:"aggregateId"`
		Tenant        string            `json:"tenantId"`
		Timestamp     string            `json:"timestamp"`
		Version       string            `json:"version"`
		Payload       json.RawMessage   `json:"payload"`
		Metadata      map[string]string `json:"metadata"` // written in the order of its keys
	}{id, c.Type, definition.AggregateType, c.Subject, cmp.Or(c.Tenant, k.Tenant), at, cmp.Or(c.Version, definition.Version), data, c.metadata(k)})
	if err != nil {
		return bad("data", "cannot be written: "+err.Error())
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func (c *cloudEvent) metadata(k *holder) map[string]string {
	m := map[string]string{"source": k.Source}
	for name, value := range map[string]string{"correlationId": c.CorrelationID, "causationId": c.CausationID, "userId": c.UserID, "traceparent": c.Traceparent} {
		if value != "" {
			m[name] = value
		}
	}
	return m
}

// cloudField is what a CloudEvent calls a field of the envelope.
func cloudField(field string) string {
	if rest, ok := strings.CutPrefix(field, "payload"); ok {
		return "data" + rest
	}
	names := map[string]string{
		"eventId": "id", "eventType": "type", "aggregateId": "subject", "timestamp": "time", "version": "eventversion", "tenantId": "tenantid",
		"metadata.correlationId": "correlationid", "metadata.causationId": "causationid", "metadata.userId": "userid", "metadata.traceparent": "traceparent",
	}
	return cmp.Or(names[field], field)
}
