package importer

import (
	"context"
	"errors"
	"io"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// Row is a row of a file and what it becomes: an event, or a rejection.
type Row struct {
	// Number counts the file's rows from 1; the header line is none.
	Number int64
	// Line is the physical line the row begins on, from 1. A quoted field may go over several lines.
	Line int64
	// Raw is the row as it stands in the file, without its line end.
	Raw     string
	Event   event.Any
	Reject  *Rejection
	odd     oddity // of the event's times
	oddText string
	former  uuid.UUID // the id of version 0.1; none where that is the event's
}

// Read gives every row of a file, in the file's order, with what it becomes by the mapping; without a mapping the
// file is NDJSON of whole events. The error of do ends it and is given back as it is. Nothing is imported.
func Read(ctx context.Context, file string, m *Mapping, do func(Row) error) error {
	src, err := rowfile.Open(file)
	if err != nil {
		return err
	}
	defer src.Close()
	return readFile(ctx, src, m, do)
}

func readFile(ctx context.Context, src *rowfile.File, m *Mapping, do func(Row) error) error {
	found, err := surveyOf(ctx, src, m, func(int64) {})
	if err != nil {
		return err
	}
	defer found.close()
	rows, err := newReading(ctx, src, m, found, 0)
	if err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := rows.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(row); err != nil {
			return err
		}
	}
}

// Events gives the events of a file as Run would import them, and leaves out the rows that become none.
func Events(ctx context.Context, file string, m *Mapping, do func(event.Any) error) error {
	return Read(ctx, file, m, func(r Row) error {
		if r.Reject != nil {
			return nil
		}
		return do(r.Event)
	})
}

// reading is the second reading of a file, the one that makes events.
type reading struct {
	source  *rowfile.File
	records rowfile.Records
	mapping *Mapping
	survey  *survey
	row     *row
	id      identity
	number  int64 // rows read
	begun   int64 // rows handed on in batches
	history bool  // batches hold the events as history
}

// newReading begins the second reading behind the first skip rows.
func newReading(ctx context.Context, src *rowfile.File, m *Mapping, found *survey, skip int64) (*reading, error) {
	from, err := rowsOf(src, m)
	if err != nil {
		return nil, err
	}
	r := &reading{source: src, records: from, mapping: m, survey: found}
	if m != nil {
		r.row = newRow(m)
		r.row.serial = src.Serial
	}
	for r.number < skip {
		if _, err := r.record(); err != nil {
			return nil, err
		}
		if r.number%surveyEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	r.begun = r.number
	return r, nil
}

// record reads on by one row; io.EOF behind the last.
func (r *reading) record() (*rowfile.Record, error) {
	rec, err := r.records.Next()
	if err == nil {
		r.number++
		return rec, nil
	}
	if !errors.Is(err, io.EOF) {
		return nil, r.source.Failure(err, r.number)
	}
	sum, err := r.source.Finish()
	if err != nil {
		return nil, err
	}
	if sum != r.survey.sum || r.number != r.survey.rows {
		return nil, &ChangedError{File: r.source.Name()}
	}
	return nil, io.EOF
}

// ChangedError says that a file was changed while it was read, so that what was read of it cannot be trusted to be
// one state of it. Import it again: what is in the log already is known by its content.
type ChangedError struct{ File string }

// Error names the file and what to do.
func (e *ChangedError) Error() string {
	return "the file " + e.File + " was changed while it was read; import it again when it is complete"
}

// next gives the next row; io.EOF behind the last.
func (r *reading) next() (Row, error) {
	rec, err := r.record()
	if err != nil {
		return Row{}, err
	}
	row := Row{Number: r.number, Line: rec.Line, Raw: rec.Raw, Reject: rec.Problem}
	switch {
	case row.Reject != nil:
	case r.mapping == nil:
		row.Event, row.Reject = wholeEvent(rec.Raw)
	default:
		if err := r.event(rec, &row); err != nil {
			return Row{}, err
		}
	}
	return row, nil
}

// event makes the row's event by the mapping, and derives the id that version 0.1 gave it.
func (r *reading) event(rec *rowfile.Record, row *Row) error {
	occurrence, err := r.survey.repeats.occurrence(r.number)
	if err != nil {
		return err
	}
	r.row.take(rec)
	rule, problem := r.mapping.ruleOf(r.row)
	if problem == nil {
		problem = r.id.ofKey(r.row, &r.mapping.key)
	}
	if problem == nil {
		row.Event, problem = r.mapping.fill(rule, r.row, &r.id, occurrence)
	}
	row.odd, row.oddText = r.row.moments.odd, r.row.moments.oddText
	if row.Reject = problem; problem != nil || r.survey.former == nil {
		return nil
	}
	if occurrence, err = r.survey.former.occurrence(r.number); err != nil {
		return err
	}
	r.id.of(rec)
	if former := r.id.rowID(row.Event.TenantID, row.Event.Metadata.Source, occurrence); former != row.Event.ID {
		row.former = former
	}
	return nil
}

// wholeEvent reads a line that is an event already, as what comes from outside is read.
func wholeEvent(line string) (event.Any, *Rejection) {
	e, err := event.DecodeOutside([]byte(line))
	if err != nil {
		return event.Any{}, rowfile.Reject(ReasonInvalid, "%s", err)
	}
	if d, ok := event.Lookup(e.Type); !ok || !d.Outside {
		return event.Any{}, rowfile.Reject(ReasonNotOutside, "eventType: %s is published by Composerp's own workers only", e.Type)
	}
	return e, nil
}
