package eventquery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// Tail hands on, in the order of the log, the events of a query that the newest tick has seen, and returns that tick:
// Follow goes on from it. The limit of the query is the newest that many; 0: all.
func Tail(ctx context.Context, db *store.DB, q Query, take func([]Event) error) (Mark, Result, error) {
	var newest []Event
	hand := take
	if q.Limit > 0 {
		q.Reverse, hand = true, func(events []Event) error { newest = append(newest, events...); return nil }
	}
	r, err := begin(ctx, db, q, hand)
	if err != nil {
		return Mark{}, Result{}, err
	}
	if r.seen, err = NewestMark(ctx, db); err != nil {
		return Mark{}, Result{}, err
	}
	from, to, err := q.Bounds(ctx, db)
	if err != nil {
		return Mark{}, Result{}, err
	}
	if err := r.run(ctx, from, min(to, r.seen.MaxSeq)); err != nil || len(newest) == 0 {
		return r.seen, r.result, err
	}
	slices.Reverse(newest)
	return r.seen, r.result, take(newest)
}

// Change is what Follow tells beside events.
type Change string

// The changes that Follow tells of.
const (
	Away      Change = "away"       // the database is not available; Follow tries again
	Back      Change = "back"       // it is again: Follow goes on where it was
	NoTickers Change = "no tickers" // events wait for a tick, and no process makes one
)

// The pace of Follow: ticks are announced, and looked for where the announcement was lost.
const (
	lookEvery   = time.Second
	retryFirst  = 200 * time.Millisecond
	retryMost   = 3 * time.Second
	tickerAlive = 5 * time.Second
)

// Follow hands on the events of a query that each new tick has seen, from one tick on, until ctx ends or take fails.
// While the database is away it tries again. The limit of the query does not count. tell gets each change once, with
// the error of one that has any.
func Follow(ctx context.Context, db *store.DB, q Query, from Mark, take func([]Event) error, tell func(Change, error)) error {
	q.Limit = 0
	r, err := begin(ctx, db, q, take)
	if err != nil {
		return err
	}
	f := &follower{reading: r, at: from, tell: tell, moved: time.Now()}
	hints := db.Listen(ctx, eventlog.TickChannel)
	pause := retryFirst
	for {
		moved, err := f.step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrRetryable):
			if !f.away {
				f.away = true
				tell(Away, err)
			}
			clock.Sleep(ctx, pause)
			pause = min(2*pause, retryMost)
			continue
		case err != nil:
			return err
		}
		if pause = retryFirst; f.away {
			f.away = false
			tell(Back, nil)
		}
		if !moved {
			wait(ctx, hints)
		}
	}
}

// wait waits for a tick to be announced, and not for long.
func wait(ctx context.Context, hints <-chan struct{}) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-hints:
	}
}

// follower is past all places up to past of the interval that begins at a tick.
type follower struct {
	*reading
	at    Mark
	past  int64
	away  bool
	moved time.Time // when a tick last came
	alone bool      // NoTickers was told
	tell  func(Change, error)
}

// step reads up to the next tick, and reports whether there was one.
func (f *follower) step(ctx context.Context) (moved bool, err error) {
	next, err := NextMark(ctx, f.db, f.at)
	if err != nil {
		return false, err
	}
	if next.Tick == f.at.Tick {
		return false, f.missTicker(ctx)
	}
	f.moved, f.alone = time.Now(), false
	for {
		places, err := PlacesBetween(ctx, f.db, f.at, next, f.past, pageRows)
		if err != nil {
			return false, err
		}
		if err := f.places(ctx, places); err != nil {
			return false, err
		}
		if len(places) < pageRows {
			break
		}
	}
	f.at, f.past = next, 0
	return true, nil
}

// missTicker tells once that events wait and no tick comes.
func (f *follower) missTicker(ctx context.Context) error {
	if f.alone || time.Since(f.moved) < tickerAlive {
		return nil
	}
	end, err := eventlog.End(ctx, f.db)
	if err == nil && end > f.at.MaxSeq {
		f.alone = true
		f.tell(NoTickers, nil)
	}
	return err
}

var atPlaces = pg.SQL(selectEvents + matchSQL + ` AND e.seq = ANY ($15::bigint[]) AND e.seq > $16 ORDER BY e.seq`)

// places hands on the events at places that match. What was handed on is not read again after an error.
func (f *follower) places(ctx context.Context, places []int64) error {
	for len(places) > 0 {
		events, full, err := f.collect(ctx, fmt.Sprintf("reading %d events", len(places)), atPlaces, pq.Int64Array(places), f.past)
		switch {
		case isUnreadable(err) && len(places) == 1:
			f.result.Unreadable++
			events = nil
		case isUnreadable(err):
			half := len(places) / 2
			if err := f.places(ctx, places[:half]); err != nil {
				return err
			}
			places = places[half:]
			continue
		case err != nil:
			return err
		}
		if len(events) > 0 {
			if err := f.take(events); err != nil {
				return err
			}
		}
		if !full {
			f.past = places[len(places)-1]
			return nil
		}
		f.past = events[len(events)-1].Seq
		places = places[slices.Index(places, f.past)+1:]
	}
	return nil
}
