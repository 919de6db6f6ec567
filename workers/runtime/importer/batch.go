package importer

import (
	"context"
	"errors"
	"io"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// batchBytes is how much a batch holds at most, beside its last row: a file of large events has smaller batches.
const batchBytes = 4 << 20

// batch is some rows of the file, one behind the other.
type batch struct {
	rows    int64 // rows of the file that are done with this batch
	bytes   int64 // bytes of the file read for them
	events  []event.Any
	origins []origin    // of the events
	formers []uuid.UUID // their ids of version 0.1; uuid.Nil for none
	rejects []rejected
}

// origin is where an event or a rejection comes from.
type origin struct {
	number, line int64
	raw          string
	odd          oddity
	oddText      string
}

type rejected struct {
	origin
	why *Rejection
}

func (b *batch) add(r Row, history bool) {
	o := origin{r.Number, r.Line, r.Raw, r.odd, r.oddText}
	if history && r.Reject == nil {
		var err error
		if r.Event, err = AsHistory(r.Event); err != nil {
			r.Reject = rowfile.Reject(ReasonInvalid, "%s", err)
		}
	}
	if r.Reject != nil {
		b.rejects = append(b.rejects, rejected{o, r.Reject})
		return
	}
	b.events, b.origins, b.formers = append(b.events, r.Event), append(b.origins, o), append(b.formers, r.former)
}

// batches reads the file to its end, in batches of size rows.
func (r *reading) batches(ctx context.Context, size int, to chan<- *batch) error {
	for {
		b, err := r.batch(size)
		if err != nil {
			return err
		}
		if b.rows == r.begun {
			return nil
		}
		r.begun = b.rows
		select {
		case to <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// batch reads the next rows; none at the end.
func (r *reading) batch(size int) (*batch, error) {
	b := &batch{events: make([]event.Any, 0, size), origins: make([]origin, 0, size)}
	held := 0
	for n := 0; n < size && held < batchBytes; n++ {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		b.add(row, r.history)
		held += len(row.Raw) + len(row.Event.Body)
	}
	b.rows, b.bytes = r.number, r.source.Done()
	return b, nil
}
