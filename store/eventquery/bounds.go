package eventquery

import (
	"context"
	"errors"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

var begins = pg.SQL(`SELECT coalesce((SELECT min(seq) FROM event_log), 1) - 1`)

var placeOf = pg.SQL(`SELECT seq FROM admission WHERE event_id = $1`)

// An event that was logged before a moment drew its number before that moment's statements ended, which the timeout
// bounds; some tick after that has seen the number.
var endOf = pg.SQL(`SELECT max_seq FROM tick WHERE made_at >= $1::timestamptz + interval '5 minutes' ORDER BY id LIMIT 1`)

// Bounds returns the places between which everything lies that can match: past one and up to the other.
func (q *Query) Bounds(ctx context.Context, db *store.DB) (from, to int64, err error) {
	if to, err = eventlog.End(ctx, db); err != nil {
		return 0, 0, err
	}
	if q.Seen != (Mark{}) {
		to = min(to, q.Seen.MaxSeq)
	}
	if from, err = pg.One[int64](ctx, db, "reading the log's beginning", begins); err != nil {
		return 0, 0, err
	}
	if q.Archives != nil && q.Archives.First() > 0 {
		from = min(from, q.Archives.First()-1)
	}
	from = max(from, q.After)
	if q.ID.Valid {
		place, err := pg.One[int64](ctx, db, "looking for an event among those from outside", placeOf, q.ID.UUID)
		switch {
		case err == nil:
			return max(from, place-1), min(to, place), nil
		case !errors.Is(err, store.ErrNotFound):
			return 0, 0, err
		}
	}
	if !q.LoggedFrom.IsZero() {
		at, err := eventlog.PositionAt(ctx, db, q.LoggedFrom)
		if err != nil {
			return 0, 0, err
		}
		from = max(from, at.Seq)
	}
	if !q.LoggedTo.IsZero() {
		end, err := pg.One[int64](ctx, db, "reading the log's end then", endOf, q.LoggedTo)
		if err == nil {
			to = min(to, end)
		} else if !errors.Is(err, store.ErrNotFound) {
			return 0, 0, err
		}
	}
	return from, to, nil
}
