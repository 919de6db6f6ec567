package event

import (
	"encoding/hex"
	"encoding/json"
	"strings"
)

// TraceID is the trace id in a traceparent (W3C Trace Context: version-trace-parent-flags), for log lines and
// exemplars; empty where there is none.
func (m Metadata) TraceID() string {
	parts := strings.Split(m.Traceparent, "-")
	if len(parts) < 4 || len(parts[1]) != 32 {
		return ""
	}
	if _, err := hex.DecodeString(parts[1]); err != nil {
		return ""
	}
	return parts[1]
}

// TraceOf is the trace id of a body, which may be no event.
func TraceOf(body []byte) string {
	var e struct {
		Metadata struct {
			Traceparent string `json:"traceparent"`
		} `json:"metadata"`
	}
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	return Metadata{Traceparent: e.Metadata.Traceparent}.TraceID()
}
