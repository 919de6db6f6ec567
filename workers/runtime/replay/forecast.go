package replay

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/inbox"
)

// Forecast is how many events of a type a replay would take, and how many of them the worker's inbox has.
type Forecast struct {
	Type    string `json:"eventType"`
	Events  int64  `json:"events"`
	Handled int64  `json:"handled"`
}

// Count counts by type what a query would replay. consumer is the worker of the queue, else empty.
func Count(ctx context.Context, db *store.DB, q eventquery.Query, consumer string) ([]Forecast, error) {
	var err error
	if q.Seen, err = eventquery.NewestMark(ctx, db); err != nil {
		return nil, err
	}
	id := inbox.ConsumerID(0)
	if consumer != "" {
		if id, err = inbox.ConsumerByName(ctx, db, consumer); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	counts := map[string]*Forecast{}
	_, err = eventquery.Each(ctx, db, q, func(events []eventquery.Event) error {
		handled := map[uuid.UUID]bool{}
		if id != 0 {
			ids := make([]uuid.UUID, len(events))
			for i := range events {
				ids[i] = events[i].ID
			}
			if handled, err = inbox.HandledAmong(ctx, db, id, ids); err != nil {
				return err
			}
		}
		for i := range events {
			f := counts[events[i].Type]
			if f == nil {
				f = &Forecast{Type: events[i].Type}
				counts[f.Type] = f
			}
			f.Events++
			if handled[events[i].ID] {
				f.Handled++
			}
		}
		return nil
	})
	all := make([]Forecast, 0, len(counts))
	for _, f := range counts {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Forecast) int { return cmp.Compare(a.Type, b.Type) })
	return all, err
}
