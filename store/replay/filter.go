package replay

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventquery"
)

// filter is what a row keeps of a filter: what a replay can be narrowed by.
type filter struct {
	Types         []event.Type `json:"types,omitempty"`
	Tenant        string       `json:"tenant,omitempty"`
	Aggregate     string       `json:"aggregate,omitempty"`
	Correlation   string       `json:"correlation,omitempty"`
	After         int64        `json:"after,omitempty"`
	From          time.Time    `json:"from,omitzero"`
	To            time.Time    `json:"to,omitzero"`
	OccurredSince time.Time    `json:"occurredSince,omitzero"`
	OccurredUntil time.Time    `json:"occurredUntil,omitzero"`
}

func written(f *eventquery.Filter) (string, error) {
	text, err := json.Marshal(filter{f.Types, f.Tenant, f.Aggregate, f.Correlation, f.After, f.LoggedFrom, f.LoggedTo, f.OccurredFrom, f.OccurredTo})
	if err != nil {
		return "", fmt.Errorf("writing the filter of a replay: %w", err)
	}
	return string(text), nil
}

func read(text json.RawMessage) (eventquery.Filter, error) {
	var f filter
	if err := json.Unmarshal(text, &f); err != nil {
		return eventquery.Filter{}, fmt.Errorf("reading the filter of a replay: %w", err)
	}
	return eventquery.Filter{
		Types: f.Types, Tenant: f.Tenant, Aggregate: f.Aggregate, Correlation: f.Correlation, After: f.After,
		LoggedFrom: f.From, LoggedTo: f.To, OccurredFrom: f.OccurredSince, OccurredTo: f.OccurredUntil,
	}, nil
}
