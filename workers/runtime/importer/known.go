package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// admit brings a batch's events into the log, but for those that it has, under their own id or that of version 0.1.
// It gives what became of each, and of a conflict what the two events differ in. A whole event, of a file without a
// mapping, is held against the log byte for byte: its sender has given it its id.
func (b *batch) admit(ctx context.Context, tx store.Tx, mapped bool) ([]eventlog.Admission, map[int]string, error) {
	logged, err := eventlog.AdmittedBodies(ctx, tx, slices.DeleteFunc(slices.Clone(b.formers), func(id uuid.UUID) bool { return id == uuid.Nil }))
	if err != nil {
		return nil, nil, err
	}
	verdicts, differences := make([]eventlog.Admission, len(b.events)), map[int]string{}
	var fresh []event.Any
	var at []int
	for i, e := range b.events {
		body, known := logged[b.formers[i]]
		if !known {
			fresh, at = append(fresh, e), append(at, i)
			continue
		}
		verdicts[i] = compared(body, e.Body, i, differences)
	}
	if len(fresh) == len(b.events) {
		verdicts, err = eventlog.Admit(ctx, tx, fresh, true)
	} else {
		var admitted []eventlog.Admission
		admitted, err = eventlog.Admit(ctx, tx, fresh, true)
		for j, v := range admitted {
			verdicts[at[j]] = v
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return verdicts, differences, b.compare(ctx, tx, mapped, verdicts, differences)
}

// compare turns conflicts with events that differ in what only describes into duplicates; whole events may differ in
// the mark of history alone.
func (b *batch) compare(ctx context.Context, tx store.Tx, mapped bool, verdicts []eventlog.Admission, differences map[int]string) error {
	var ids []uuid.UUID
	for i, v := range verdicts {
		if _, told := differences[i]; v == eventlog.Conflict && !told {
			ids = append(ids, b.events[i].ID)
		}
	}
	logged, err := eventlog.AdmittedBodies(ctx, tx, ids)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		_, told := differences[i]
		switch {
		case v != eventlog.Conflict || told:
		case !mapped && unlikeByMark(logged[b.events[i].ID], b.events[i], b.origins[i].raw):
			verdicts[i] = eventlog.Duplicate
		case mapped:
			verdicts[i] = compared(logged[b.events[i].ID], b.events[i].Body, i, differences)
		}
	}
	return nil
}

// compared is Duplicate or Conflict, and notes the difference. What the log has dropped since is a duplicate: it was
// admitted, and there is nothing to hold the row against.
func compared(logged string, made []byte, i int, differences map[int]string) eventlog.Admission {
	if logged == "" {
		return eventlog.Duplicate
	}
	difference := difference([]byte(logged), made)
	if difference == "" {
		return eventlog.Duplicate
	}
	differences[i] = difference
	return eventlog.Conflict
}

// difference says in what two events differ, in the first field that is no id and does not only describe; empty when
// in none. Blanks around a text are no difference: version 0.1 left them on.
func difference(logged, made []byte) string {
	was, err := said(logged)
	if err != nil {
		return fmt.Sprintf("reading the event in the log: %s", err)
	}
	is, err := said(made)
	if err != nil {
		return fmt.Sprintf("reading the row's event: %s", err)
	}
	fields := maps.Clone(was)
	maps.Copy(fields, is)
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if was[field] != is[field] {
			return fmt.Sprintf("%s: the log has %.80q, the row says %.80q", field, was[field], is[field])
		}
	}
	return ""
}

// said gives the fields of an event that say what happened, as texts.
func said(body []byte) (map[string]string, error) {
	var e struct {
		EventType, AggregateID, TenantID, Timestamp string
		Payload                                     map[string]any
		Metadata                                    struct{ Source string }
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&e); err != nil {
		return nil, err
	}
	fields := map[string]string{
		"eventType": e.EventType, "aggregateId": rowfile.Trim(e.AggregateID), "tenantId": rowfile.Trim(e.TenantID),
		"timestamp": e.Timestamp, "metadata.source": rowfile.Trim(e.Metadata.Source),
	}
	for name, value := range e.Payload {
		if !slices.Contains(describing, name) {
			fields["payload."+name] = rowfile.Trim(fmt.Sprint(value))
		}
	}
	return fields, nil
}
