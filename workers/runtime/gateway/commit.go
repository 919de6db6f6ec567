package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

const (
	// committers is how many transactions are open at once: while one waits for the disk, the other fills.
	committers = 2
	// waiting is how many requests may wait for a committer.
	waiting = 1024
	// fullBatch is how many events end a batch.
	fullBatch = 500
	// tries is how often a batch is tried that others were in the way of.
	tries = 3
)

var (
	// errFull means that the bound of requests in hand is reached.
	errFull = errors.New("the log is slower than what comes")
	// errLate means that the commit took too long; it may still come.
	errLate = errors.New("the log has not answered in time")
)

// submission is the events of one request, and the outcomes once they are committed.
type submission struct {
	events   []event.Any
	verdicts []eventlog.Admission
	err      error
	done     chan struct{}
	room     *room // that of the body, which the events hold until they are done with
}

// committer commits the events of concurrent requests together.
type committer struct {
	db      *store.DB
	log     *slog.Logger
	metrics *Metrics
	queue   chan *submission
}

func newCommitter(db *store.DB, log *slog.Logger, m *Metrics) *committer {
	return &committer{db: db, log: log, metrics: m, queue: make(chan *submission, waiting)}
}

// commit returns the outcomes of events after they were committed. After errLate, or when ctx ends, they may be
// committed later.
func (c *committer) commit(ctx context.Context, events []event.Any, r *room) ([]eventlog.Admission, error) {
	s := &submission{events: events, done: make(chan struct{}), room: r.share()}
	select {
	case c.queue <- s:
	default:
		s.room.leave()
		return nil, errFull
	}
	late := time.NewTimer(answerTimeout)
	defer late.Stop()
	select {
	case <-s.done:
		return s.verdicts, s.err
	case <-late.C:
		return nil, errLate
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run commits until stopped, and then what is in hand.
func (c *committer) run(stopped <-chan struct{}) {
	for {
		select {
		case s := <-c.queue:
			c.admit(c.gather(s))
		case <-stopped:
			select {
			case s := <-c.queue:
				c.admit(c.gather(s))
			default:
				return
			}
		}
	}
}

// gather adds to a submission those that have arrived.
func (c *committer) gather(first *submission) []*submission {
	batch, n := []*submission{first}, len(first.events)
	for n < fullBatch {
		select {
		case s := <-c.queue:
			batch, n = append(batch, s), n+len(s.events)
		default:
			return batch
		}
	}
	return batch
}

// admit brings a batch into the log. When it fails and not because the database is away, each submission is tried
// alone: the failure may be one event's.
func (c *committer) admit(batch []*submission) {
	err := c.together(batch)
	if err != nil && len(batch) > 1 && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		for _, s := range batch {
			c.admit([]*submission{s})
		}
		return
	}
	if err != nil {
		c.log.Warn("events of HTTP requests are not in the log", "requests", len(batch), "error", err)
	}
	for _, s := range batch {
		s.err = err
		s.room.leave()
		close(s.done)
	}
}

// together admits a batch in one transaction, again when others were in its way.
func (c *committer) together(batch []*submission) (err error) {
	var events []event.Any
	for _, s := range batch {
		events = append(events, s.events...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	began := time.Now()
	var verdicts []eventlog.Admission
	for range tries {
		err = c.db.InTx(ctx, func(tx store.Tx) (err error) {
			verdicts, err = eventlog.Admit(ctx, tx, events, true)
			return err
		})
		if !errors.Is(err, store.ErrRetryable) {
			break
		}
	}
	if err != nil {
		return err
	}
	c.metrics.batch.Observe(float64(len(events)))
	c.metrics.commit.Observe(time.Since(began).Seconds())
	for _, s := range batch {
		s.verdicts, verdicts = verdicts[:len(s.events)], verdicts[len(s.events):]
	}
	return nil
}
