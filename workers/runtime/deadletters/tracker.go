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

// watch sees how what was put back fares. What the worker sends to its ladder or
// to the dead letters is overheard on the exchanges themselves: at once, and
// whether or not a journal is kept. What it has handled the inbox says.
type tracker struct {
	db          *store.DB
	session     *rabbitmq.Session
	queue       string // the worker's own
	consumer    inbox.ConsumerID
	tracksInbox bool
	end         context.CancelFunc
	done        chan struct{}

	mu       sync.Mutex
	waiting  map[string]uuid.UUID // put back and not heard of since: message id and event
	putBack  int
	handled  int
	failures map[failure]int
	failed   int
	broken   error // nothing is overheard any more
}

// listen begins to watch. What it needs ends with the walk's session.
func (w *walk) track(ctx context.Context) (*tracker, error) {
	worker := w.queue.Worker
	v := &tracker{
		db: w.DB, session: w.session, queue: topology.QueueName(worker), tracksInbox: w.queue.TracksInbox, done: make(chan struct{}),
		waiting: map[string]uuid.UUID{}, failures: map[failure]int{},
	}
	var err error
	if v.tracksInbox {
		if v.consumer, err = inbox.ConsumerByName(ctx, w.DB, worker); errors.Is(err, store.ErrNotFound) {
			err = nil // it has never run, and handled nothing
		}
		if err != nil {
			return nil, err
		}
	}
	name := "composerp.dlq." + worker + "." + uuid.NewString()[:8]
	ladder, err := w.session.Tap(topology.Retry, []string{topology.QueueName(worker) + ".retry.*"}, name+".ladder")
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
	both.Go(func() { v.collect(listening, ladder) })
	both.Go(func() { v.collect(listening, dead) })
	go func() { both.Wait(); close(v.done) }()
	return v, nil
}

// close ends the watch.
func (v *tracker) close() {
	v.end()
	<-v.done
}

func (v *tracker) collect(ctx context.Context, from *rabbitmq.Consumer) {
	for {
		heard, err := from.Take(ctx, batch)
		if err != nil {
			v.mu.Lock()
			defer v.mu.Unlock()
			if ctx.Err() == nil {
				v.broken = fmt.Errorf("overhearing what fails again: %w", err)
			}
			return
		}
		v.mu.Lock()
		for _, d := range heard {
			if _, ours := v.waiting[d.ID]; ours {
				delete(v.waiting, d.ID)
				v.failed++
				v.failures[failureOf(d)]++
			}
		}
		v.mu.Unlock()
		_ = from.Ack(heard[len(heard)-1]) // a lost session is found by the next Take
	}
}

// failureOf is why a letter goes to the ladder, or dies. To wait for somebody who
// is away is no failure, but no better: the next ones would wait too.
func failureOf(d rabbitmq.Delivery) failure {
	text := d.Failure().Error
	if away, _ := d.Headers[rabbitmq.HeaderWaitsFor].(string); away != "" {
		text = "waits for " + away + ", which is away"
	}
	return failure{d.Type, text}
}

// expect says that letters are about to be put back.
func (v *tracker) expect(letters []letter) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, l := range letters {
		v.waiting[l.back.ID] = l.entry.EventID.UUID
	}
}

// back says which of them the broker has, and which it has not.
func (v *tracker) back(letters, not []letter) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.putBack += len(letters)
	for _, l := range not {
		delete(v.waiting, l.back.ID)
	}
}

// fewest is how many must have failed again before their share tells anything.
const fewest = 3

// tooMany tells whether more than percent of what was put back has failed again.
func (v *tracker) tooMany(percent int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failed >= fewest && v.failed*100 > percent*v.putBack
}

// mostAsked is for how many letters the inbox is asked at once.
const inboxBatch = 5000

// look asks the inbox which of those it waits for were handled, and tells how many are left.
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
	// lookEvery is how often it is asked how letters fare while it is waited for.
	pollEvery = 100 * time.Millisecond
	// hearTime is what failures get to be heard of where nobody can be asked for success.
	failureTime = time.Second
)

// settle waits until it is known how everything put back has fared, but not
// longer than patience, and not at all for a worker that nobody runs.
func (v *tracker) settle(ctx context.Context, patience time.Duration) error {
	_, consumers, err := v.session.Depth(v.queue)
	if err != nil {
		return err
	}
	switch {
	case consumers == 0:
		patience = 0
	case !v.tracksInbox:
		patience = min(patience, failureTime)
	}
	for until := time.Now().Add(patience); ; {
		waiting, err := v.poll(ctx)
		if err != nil || waiting == 0 || !time.Now().Before(until) {
			return err
		}
		if !clock.Sleep(ctx, min(pollEvery, time.Until(until))) {
			return ctx.Err()
		}
	}
}
