package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/replay"
)

// Config is a replay to run. DB and Replay are needed.
type Config struct {
	DB     *store.DB // two connections
	Replay replay.Replay
	// Broker is needed but for a file, Queue for the target queue: that of the worker.
	Broker rabbitmq.Config
	Queue  string
	// Archives are needed when the replay is at a position that is archived.
	Archives *archive.Folder
	// Progress is called with how many positions of the log are behind and how many there are in all, and how many
	// events went out. May be nil.
	Progress func(done, all, events int64)
}

const (
	// pageSize is how many events go between two moves of the cursor, at most; window how many may be unconfirmed.
	pageSize = 500
	window   = 1024
	// leaveTime is how long a process that stops tries to note it.
	leaveTime = 5 * time.Second
)

// Run carries the replay from its cursor to its end, and returns where it is. After an error it is interrupted, and
// replay.Resume takes it up again; replay.ErrTakenOver means that it is another process's, or cancelled.
func Run(ctx context.Context, cfg Config) (replay.Replay, error) {
	r := &run{Config: cfg, at: cfg.Replay}
	err := r.run(ctx)
	state := replay.Done
	if err != nil {
		state = replay.Interrupted
	}
	if !errors.Is(err, replay.ErrTakenOver) {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
		defer cancel()
		err = errors.Join(err, r.at.Leave(leaving, cfg.DB, state))
	}
	if err != nil {
		return r.at, fmt.Errorf("replay %d: %w", cfg.Replay.ID, err)
	}
	return r.at, nil
}

// run is a replay at work.
type run struct {
	Config
	at   replay.Replay // moved by one goroutine
	pace pacer
}

// page is some events, and the position behind them.
type page struct {
	events []eventquery.Event
	upto   int64
}

func (r *run) run(ctx context.Context) error {
	r.pace.rate = r.at.Rate
	var err error
	if r.at.Target == replay.File {
		err = r.toFile(ctx)
	} else {
		err = r.toBroker(ctx)
	}
	if err != nil {
		return err
	}
	r.at.At = r.at.Last
	return r.at.Move(ctx, r.DB)
}

// read gives what is left page by page. A page of a slow replay is of half a second.
func (r *run) read(ctx context.Context, give func(page) error) error {
	q, err := r.Replay.Query()
	if err != nil {
		return err
	}
	if err := r.checkArchived(ctx); err != nil {
		return err
	}
	q.Archives = r.Archives
	size := pageSize
	if r.Replay.Rate > 0 {
		size = max(1, min(size, r.Replay.Rate/2))
	}
	first, passing := q.After, error(nil) // Progress cannot fail: the next page does
	q.Progress = func(read, _ int64) {
		if passing == nil {
			passing = give(page{upto: min(first+read, r.Replay.Last)})
		}
	}
	_, err = eventquery.Each(ctx, r.DB, q, func(events []eventquery.Event) error {
		for n := size; len(events) > 0 && passing == nil; events = events[n:] {
			n = min(n, len(events))
			if err := give(page{events[:n], events[n-1].Seq}); err != nil {
				return err
			}
		}
		return passing
	})
	return cmp.Or(err, passing)
}

// checkArchived refuses to pass what is in archives that were not given. The replay's row is there by now: it keeps the
// rest of the log in the database.
func (r *run) checkArchived(ctx context.Context) error {
	if r.Archives != nil {
		return nil
	}
	cut, err := archive.Cut(ctx, r.DB)
	if err == nil && r.Replay.At < min(cut-1, r.Replay.Last) {
		err = archive.Need(ctx, r.DB, fmt.Sprintf("going on after position %d", r.Replay.At), r.Replay.At+1)
	}
	return err
}

// move writes that all up to a position went out.
func (r *run) move(ctx context.Context, upto int64) error {
	if upto <= r.at.At {
		return nil
	}
	r.at.At = upto
	if err := r.at.Move(ctx, r.DB); err != nil {
		return err
	}
	failpoint.Hit("replay.moved")
	if r.Progress != nil {
		r.Progress(upto-r.at.First, r.at.Last-r.at.First, r.at.Events)
	}
	return nil
}

// pacer lets events go at a rate; it does not make up for time that was lost.
type pacer struct {
	rate int // a second; 0: no limit
	next time.Time
}

func (p *pacer) wait(ctx context.Context) error {
	if p.rate == 0 {
		return ctx.Err()
	}
	if now := time.Now(); p.next.Before(now) {
		p.next = now
	}
	if !clock.Sleep(ctx, time.Until(p.next)) {
		return ctx.Err()
	}
	p.next = p.next.Add(time.Second / time.Duration(p.rate))
	return nil
}
