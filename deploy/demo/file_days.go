package demo

import (
	"context"
	"errors"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/runtime/importer"
)

// dayReader reads a file a day at a time, one day ahead at most: memory holds two days, however long the file is.
type dayReader struct {
	days  chan fileDay
	next  *fileDay
	ended error // once days is closed
}

type fileDay struct {
	date   event.Date
	events []event.Any
}

// readDays starts reading from the first day on, until ctx ends.
func readDays(ctx context.Context, f *File, first event.Date) *dayReader {
	r := &dayReader{days: make(chan fileDay)}
	go func() {
		defer close(r.days)
		today := fileDay{}
		send := func() error {
			if len(today.events) == 0 {
				return nil
			}
			select {
			case r.days <- today:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := importer.Events(ctx, f.path, f.mapping, func(e event.Any) error {
			date := masterdata.BusinessDate(e.Timestamp, f.zone)
			if date < first && date >= today.date {
				return nil
			}
			// A row of an earlier day, out of order, goes into the day that is being read.
			if date > today.date {
				if err := send(); err != nil {
					return err
				}
				today = fileDay{date: date}
			}
			today.events = append(today.events, e)
			return nil
		})
		r.ended = errors.Join(err, send())
	}()
	return r
}

// day gives the events up to a day, without those that it gave before.
func (r *dayReader) day(date event.Date) (events []event.Any, err error) {
	for {
		if r.next == nil {
			d, ok := <-r.days
			if !ok {
				return events, r.ended
			}
			r.next = &d
		}
		if r.next.date > date {
			return events, nil
		}
		events = append(events, r.next.events...)
		r.next = nil
	}
}
