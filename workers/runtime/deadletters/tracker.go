package deadletters

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/inbox"
)

// tracker follows the outcome of redriven letters. What the worker sends to its retry queues or to the dead letters
// is seen by taps of the exchanges: at once, and whether or not the dead-letter log runs. What it has handled is in
// its inbox.
type tracker struct {
	db          *store.DB
	session     *rabbitmq.Session
	queue       string // the worker's own
	consumer    inbox.ConsumerID
	tracksInbox bool
	end         context.CancelFunc
	done        chan struct{}

	mu       sync.Mutex
	waiting  map[string]uuid.UUID // redriven, with no outcome yet: message id and event
	putBack  int
	handled  int
	failures map[failure]int
	failed   int
	broken   error // why the taps have ended
}

// track begins to follow outcomes. What it needs ends with the walk's session.
func (w *walk) track(ctx context.Context) (*tracker, error) {
	worker := w.queue.Worker
	v := &tracker{
		db: w.DB, session: w.session, queue: topology.QueueName(worker), tracksInbox: w.queue.TracksInbox, done: make(chan struct{}),
		waiting: map[string]uuid.UUID{}, failures: map[failure]int{},
	}
	var err error
	if v.tracksInbox {
		if v.consumer, err = inbox.ConsumerByName(ctx, w.DB, worker); errors.Is(err, store.ErrNotFound) {
			err = nil // it has never run and has handled nothing
		}
		if err != nil {
			return nil, err
		}
	}
	name := topology.RedrivePrefix + worker + "." + uuid.NewString()[:8]
	retries, err := w.session.Tap(topology.Retry, []string{topology.QueueName(worker) + ".retry.*"}, name+".retries")
	if err != nil {
		return nil, err
	}
	dead, err := w.session.Tap(topology.Dead, []string{topology.QueueName(worker)}, name+".dead")
	if err != nil {
		return nil, err
	}
	listening, end := context.WithCancel(context.WithoutCancel(ctx))
	v.end = end
	var both sync.WaitGroup
	both.Go(func() { v.collect(listening, retries) })
	both.Go(func() { v.collect(listening, dead) })
	go func() { both.Wait(); close(v.done) }()
	return v, nil
}

// close ends the taps.
func (v *tracker) close() {
	v.end()
	<-v.done
}

func (v *tracker) collect(ctx context.Context, from *rabbitmq.Consumer) {
	defer from.Close()
	for {
		taken, err := from.Take(ctx, batch)
		if err != nil {
			v.mu.Lock()
			defer v.mu.Unlock()
			if ctx.Err() == nil {
				v.broken = fmt.Errorf("following what fails again: %w", err)
			}
			return
		}
		v.mu.Lock()
		for _, d := range taken {
			if _, ours := v.waiting[d.ID]; ours {
				delete(v.waiting, d.ID)
				v.failed++
				v.failures[failureOf(d)]++
			}
		}
		v.mu.Unlock()
		_ = from.Ack(taken[len(taken)-1]) // the next Take finds a lost session
	}
}

// failureOf is why a letter goes to a retry queue, or dies. To wait for a dependency that is away is no failure, but
// no better: the next letters would wait too.
func failureOf(d rabbitmq.Delivery) failure {
	text := d.Failure().Error
	if away, _ := d.Headers[rabbitmq.HeaderWaitsFor].(string); away != "" {
		text = "waits for " + away + ", which is away"
	}
	return failure{d.Type, text}
}

// expect notes letters that are about to be redriven.
func (v *tracker) expect(letters []letter) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, l := range letters {
		v.waiting[l.back.ID] = l.entry.EventID.UUID
	}
}

// back notes which of them the broker has, and which it has not.
func (v *tracker) back(letters, not []letter) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.putBack += len(letters)
	for _, l := range not {
		delete(v.waiting, l.back.ID)
	}
}

// fewest is how many must have failed again before their share counts.
const fewest = 3

// tooMany tells whether more than percent of the redriven letters has failed again.
func (v *tracker) tooMany(percent int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failed >= fewest && v.failed*100 > percent*v.putBack
}

// mostAsked is how many letters the inbox is asked about at once.
const inboxBatch = 5000

// poll asks the inbox which of the waiting letters were handled, and returns how many are left.
func (v *tracker) poll(ctx context.Context) (waiting int, err error) {
	v.mu.Lock()
	messages, ids := make([]string, 0, len(v.waiting)), make([]uuid.UUID, 0, len(v.waiting))
	for message, id := range v.waiting {
		if messages, ids = append(messages, message), append(ids, id); len(ids) == inboxBatch {
			break // the others are asked for the next time
		}
	}
	waiting, broken := len(v.waiting), v.broken
	v.mu.Unlock()
	if broken != nil || waiting == 0 || !v.tracksInbox {
		return waiting, broken
	}
	handled, err := inbox.HandledAmong(ctx, v.db, v.consumer, ids)
	if err != nil {
		return 0, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, message := range messages {
		if _, there := v.waiting[message]; there && handled[ids[i]] {
			delete(v.waiting, message)
			v.handled++
		}
	}
	return len(v.waiting), nil
}

const (
	// pollEvery is the time between two questions to the inbox while outcomes are waited for.
	pollEvery = 100 * time.Millisecond
	// failureTime is how long failures are waited for where no inbox tells of success.
	failureTime = time.Second
)

// settle waits until the outcome of every redriven letter is known, but not longer than timeout, and not at all for a
// worker that does not run.
func (v *tracker) settle(ctx context.Context, timeout time.Duration) error {
	_, consumers, err := v.session.Depth(v.queue)
	if err != nil {
		return err
	}
	switch {
	case consumers == 0:
		timeout = 0
	case !v.tracksInbox:
		timeout = min(timeout, failureTime)
	}
	for until := time.Now().Add(timeout); ; {
		waiting, err := v.poll(ctx)
		if err != nil || waiting == 0 || !time.Now().Before(until) {
			return err
		}
		if !clock.Sleep(ctx, min(pollEvery, time.Until(until))) {
			return ctx.Err()
		}
	}
}
