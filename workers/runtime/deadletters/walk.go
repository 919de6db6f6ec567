package deadletters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/failures"
)

// Config says where the letters are. DB and Broker are needed.
type Config struct {
	DB     *store.DB // two connections are enough
	Broker rabbitmq.Config
	Log    *slog.Logger
	// WalkTime is how long letters are held before a walk ends and another goes on:
	// the broker ends a consumer that acknowledges nothing for half an hour. 0 means 10 min.
	WalkTime time.Duration
	// MissAge is how long the dead-letter log must have had a letter before a walk that does not find it marks it as
	// lost. 0 means 1 min.
	MissAge time.Duration
}

// Queue is the queue of dead letters of one worker.
type Queue struct {
	Worker      string
	TracksInbox bool // the worker keeps an inbox: it recognizes what it has handled
}

// ErrBusy means that the queue has another consumer. Two at once would change its order.
var ErrBusy = errors.New("another consumer takes from it: a redrive, a discard, an audit or a shovel; wait until that is done")

// batch is how many letters are examined, and acted on, at once.
const batch = 256

// Both are below the broker's consumer_timeout. A walk that finds nothing new gets more time, up to the longest.
const (
	defaultWalkTime = 10 * time.Minute
	longestWalkTime = 25 * time.Minute
)

// actTime is how long acting on a batch may take after its context has ended.
const actTime = 30 * time.Second

// letter is a message in the queue and its entry in the dead-letter log.
type letter struct {
	rabbitmq.Delivery
	entry failures.DeadLetter
	back  rabbitmq.Message // to the worker
}

// walk browses a queue of dead letters, as often as it takes.
type walk struct {
	Config
	queue   Queue
	filter  failures.LetterFilter
	limit   int // of letters to act on; 0: none
	session *rabbitmq.Session
	browser *rabbitmq.QueueBrowser

	began    time.Time // by the database's clock
	length   int       // of the queue, at the beginning
	seen     int
	chosen   int // and acted on
	entered  int // in the dead-letter log, which did not have them
	found    map[uuid.UUID]bool
	gone     map[uuid.UUID]bool // what this walk has removed
	returned map[life]bool      // what this walk has redriven, as it was then
	back     int                // messages that the queue has in the end and should not have
	absent   int                // messages not received, because another consumer has them
	// progress is called after each batch; may be nil.
	progress func()
}

// open begins a walk; the session is the walk's from now on.
func (c Config) open(ctx context.Context, queue Queue, filter failures.LetterFilter, limit int) (*walk, error) {
	if c.WalkTime <= 0 {
		c.WalkTime = defaultWalkTime
	}
	if c.MissAge <= 0 {
		c.MissAge = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	// Redriven messages are copies of messages that the broker has accepted before, whatever their size.
	c.Broker.Name, c.Broker.MaxBody = "dlq", math.MaxInt32
	filter.Consumers, filter.IncludeResolved = nil, true // the queue tells the consumer, and that they are pending
	w := &walk{Config: c, queue: queue, filter: filter, limit: limit, found: map[uuid.UUID]bool{}, gone: map[uuid.UUID]bool{}, returned: map[life]bool{}}
	var err error
	if w.began, err = store.ServerTime(ctx, c.DB); err != nil {
		return nil, err
	}
	if w.session, err = rabbitmq.Open(ctx, c.Broker); err != nil {
		return nil, err
	}
	ready, consumers, err := w.session.Depth(w.name())
	if err == nil && consumers > 0 {
		err = fmt.Errorf("taking from %s: %w", w.name(), ErrBusy)
	}
	if err != nil {
		w.session.Close()
		return nil, err
	}
	w.length = ready
	return w, nil
}

func (w *walk) name() string { return topology.DeadQueueName(w.queue.Worker) }

// act does something about letters and tells which of them stay. Those that do
// not stay it has acknowledged. It may be called with any number of them.
type act func(ctx context.Context, letters []letter) (stay int, err error)

// errEnough ends a walk before the end of the queue.
var errEnough = errors.New("enough")

// mostReturns is how often it is gone after acknowledgements that did not arrive.
const mostReturns = 3

// run goes through the whole queue and acts on what is chosen. Whatever ends it
// early, what is left of the queue is given back. What was taken out and is there
// again is taken out again; it is not acted on twice.
func (w *walk) run(ctx context.Context, do act) error {
	err := w.through(ctx, do)
	ended := err == nil || errors.Is(err, errEnough) || errors.Is(err, errStopped)
	for n := 0; ended && w.back > 0 && len(w.gone) > 0 && n < mostReturns; n++ {
		if _, err := w.once(ctx, longestWalkTime, nil); err != nil {
			return err
		}
	}
	return err
}

// errTooLong: letters may not be held for as long as it takes to come to the end of the queue.
var errTooLong = errors.New("the queue is too long to be gone through in " + longestWalkTime.String() + "; put back or take away what lies in front of it first")

func (w *walk) through(ctx context.Context, do act) error {
	for limit := w.WalkTime; ; {
		before := w.seen + w.chosen
		whole, err := w.once(ctx, limit, do)
		if err != nil || whole {
			return err
		}
		if w.seen+w.chosen == before {
			if limit >= longestWalkTime {
				return errTooLong
			}
			limit = min(2*limit, longestWalkTime)
		}
		w.Log.Info("going through the queue again: letters may not be held for longer", "queue", w.name())
	}
}

// once goes through the queue until its end, or until letters were held for too
// long. Without an act it only takes out once more what was taken out before.
func (w *walk) once(ctx context.Context, limit time.Duration, do act) (whole bool, err error) {
	w.browser, err = w.session.Browse(w.name(), "dlq."+w.queue.Worker+"."+uuid.NewString()[:8])
	if err != nil {
		return false, err
	}
	defer func() {
		var closing error
		if w.back, closing = w.browser.Close(); err == nil {
			err = closing
		}
	}()
	until := time.Now().Add(limit)
	for time.Now().Before(until) {
		taken, err := w.browser.Take(ctx, batch)
		if errors.Is(err, rabbitmq.ErrDrained) {
			w.absent = w.browser.Left()
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if err := w.examine(ctx, taken, do); err != nil {
			return false, err
		}
		if do != nil && w.limit > 0 && w.chosen >= w.limit {
			return false, errEnough
		}
	}
	return false, nil
}

// examine asks the dead-letter log which of the messages are chosen, and acts on those.
func (w *walk) examine(ctx context.Context, taken []rabbitmq.Delivery, do act) error {
	letters, entries := make([]letter, 0, len(taken)), make([]failures.DeadLetter, 0, len(taken))
	for _, d := range taken {
		entry := LetterOf(d)
		if w.gone[entry.ID] {
			if err := w.browser.Ack(d); err != nil {
				return err
			}
			continue
		}
		letters, entries = append(letters, letter{Delivery: d, entry: entry}), append(entries, entry)
	}
	if do == nil || len(letters) == 0 {
		w.browser.Keep(len(letters))
		return nil
	}
	chosen, entered, err := failures.ChooseDeadLetters(ctx, w.DB, w.filter, entries)
	if err != nil {
		return err
	}
	w.entered += entered
	wanted := w.wanted(letters, chosen)
	w.browser.Keep(len(letters) - len(wanted))
	if len(wanted) > 0 {
		stay, err := do(ctx, wanted)
		w.browser.Keep(stay)
		w.chosen += len(wanted) - stay
		if err != nil {
			return err
		}
	}
	if w.progress != nil {
		w.progress()
	}
	return nil
}

// life is a message after one redrive.
type life struct {
	id string
	at time.Time
}

func lifeOf(m rabbitmq.Message) life {
	_, at := rabbitmq.Delivery{Message: m}.Redriven()
	return life{m.ID, at.UTC()}
}

// wanted are the letters to act on: those chosen, within the limit, except those that this walk has redriven and that
// have died again since.
func (w *walk) wanted(letters []letter, chosen map[uuid.UUID]bool) (wanted []letter) {
	for _, l := range letters {
		if !w.found[l.entry.ID] {
			w.found[l.entry.ID] = true
			w.seen++
		}
		if chosen[l.entry.ID] && !w.returned[lifeOf(l.Message)] && (w.limit == 0 || w.chosen+len(wanted) < w.limit) {
			wanted = append(wanted, l)
		}
	}
	return wanted
}

// leave records the disposition of letters and removes them from the queue.
func (w *walk) leave(ctx context.Context, disposition failures.Disposition, letters []letter) error {
	if len(letters) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(letters))
	for i, l := range letters {
		ids[i] = l.entry.ID
	}
	if err := failures.MarkDeadLetters(ctx, w.DB, disposition, ids); err != nil {
		return err
	}
	failpoint.Hit("redrive.marked")
	for _, l := range letters {
		w.gone[l.entry.ID] = true
		if err := w.browser.Ack(l.Delivery); err != nil {
			return err
		}
	}
	failpoint.Hit("redrive.acked")
	return nil
}

// miss marks as lost what the dead-letter log has and a whole walk has not found. Where another consumer held some of
// the messages, nothing is known.
func (w *walk) miss(ctx context.Context) (int, error) {
	if w.absent > 0 {
		return 0, nil
	}
	return failures.MarkLost(ctx, w.DB, w.queue.Worker, w.began, w.MissAge, w.found)
}
