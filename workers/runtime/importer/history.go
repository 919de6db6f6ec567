package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
)

// AsHistory returns an event from outside with metadata.history set, and everything else as it is: workers then move
// stock and demand by it, and trigger nothing.
func AsHistory(e event.Any) (event.Any, error) {
	var envelope, metadata map[string]json.RawMessage
	err := json.Unmarshal(e.Body, &envelope)
	if err == nil && len(envelope["metadata"]) > 0 {
		err = json.Unmarshal(envelope["metadata"], &metadata)
	}
	if err != nil {
		return event.Any{}, fmt.Errorf("marking event %s as history: %w", e.ID, err)
	}
	if metadata == nil {
		metadata = map[string]json.RawMessage{}
	}
	metadata["history"] = json.RawMessage("true")
	if envelope["metadata"], err = json.Marshal(metadata); err != nil {
		return event.Any{}, fmt.Errorf("marking event %s as history: %w", e.ID, err)
	}
	body, err := json.Marshal(envelope)
	if err != nil {
		return event.Any{}, fmt.Errorf("marking event %s as history: %w", e.ID, err)
	}
	return event.DecodeOutside(body)
}

// unlikeByMark says whether the event in the log and that of the row differ in the mark of history alone: the file was
// imported with it before and is imported without it now, or the other way round.
func unlikeByMark(logged string, row event.Any, raw string) bool {
	if row.Metadata.History {
		return logged == raw
	}
	marked, err := AsHistory(row)
	return err == nil && logged == string(marked.Body)
}

// OldRow is a row of long ago at a place where orders are made.
type OldRow struct {
	Line      int64
	Timestamp time.Time
	Location  masterdata.LocationKey
}

// FirstOld finds the first row of a file, if any, whose business time is before a time and whose event happened at one
// of the places. It reads the file as an import does, and imports nothing.
func FirstOld(ctx context.Context, file string, m *Mapping, before time.Time, places map[masterdata.LocationKey]bool) (*OldRow, error) {
	var old *OldRow
	err := Read(ctx, file, m, func(r Row) error {
		if r.Reject != nil || r.Event.Metadata.History || !r.Event.Timestamp.Before(before) {
			return nil
		}
		_, locations := Moved(r.Event.Payload)
		for _, location := range locations {
			if at := (masterdata.LocationKey{Tenant: r.Event.TenantID, Location: location}); places[at] {
				old = &OldRow{r.Line, r.Event.Timestamp, at}
				return errEnough
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return old, err
}

// Moved gives the item, and the locations whose stock of it, an event from outside moves.
func Moved(p event.Payload) (item string, locations []string) {
	switch p := p.(type) {
	case event.SaleCompleted:
		return p.ItemID, []string{p.LocationID}
	case event.ReceiptCompleted:
		return p.ItemID, []string{p.LocationID}
	case event.TransferInitiated:
		return p.ItemID, []string{p.FromLocationID, p.ToLocationID}
	case event.StockAdjusted:
		return p.ItemID, []string{p.LocationID}
	case event.StockCounted:
		return p.ItemID, []string{p.LocationID}
	}
	return "", nil
}
