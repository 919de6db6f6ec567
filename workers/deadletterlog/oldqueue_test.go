package deadletterlog

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// upgrade is a broker as the version before left it, and a database.
type upgrade struct {
	*testing.T
	db      *store.DB
	broker  rabbitmq.Config
	session *rabbitmq.Session
	log     bytes.Buffer
	died    []string // message ids
}

func newUpgrade(t *testing.T) *upgrade {
	u := &upgrade{T: t, db: storetest.DB(t), broker: rabbitmqtest.Vhost(t)}
	u.declareOld()
	var err error
	u.session, err = rabbitmq.Open(t.Context(), u.broker)
	u.must(err)
	t.Cleanup(func() { _ = u.session.Close() })
	return u
}

func (u *upgrade) must(err error) {
	u.Helper()
	if err != nil {
		u.Fatal(err)
	}
}

// declareOld applies the topology of the version before: it knows the old queue alone.
func (u *upgrade) declareOld() {
	u.Helper()
	old := topology.Compute(nil)
	old.Queues, old.Bindings = slices.Clone(old.Queues), slices.Clone(old.Bindings)
	for i := range old.Queues {
		if old.Queues[i].Name == topology.DeadLetterLog {
			old.Queues[i].Name = topology.OldDeadLetterLog
		}
	}
	for i := range old.Bindings {
		if old.Bindings[i].Queue == topology.DeadLetterLog {
			old.Bindings[i].Queue = topology.OldDeadLetterLog
		}
	}
	u.must(rabbitmq.Apply(u.Context(), old, u.broker))
}

// die dead-letters n messages.
func (u *upgrade) die(n int) {
	u.Helper()
	publisher, err := u.session.Publisher(1)
	u.must(err)
	for range n {
		m := workertest.Delivery(workertest.Sale(u.T, "cup", "shop", "1"))
		m.Queue = topology.QueueName("ledger")
		confirmation, err := publisher.Publish(u.Context(), rabbitmq.DeadMessage(m, "ledger", errors.New("no cup is left")))
		u.must(err)
		u.must(confirmation.Wait(u.Context()))
		u.died = append(u.died, m.ID)
	}
}

func (u *upgrade) oldQueue() OldQueue {
	return OldQueue{DB: u.db, Broker: u.broker, Log: slog.New(slog.NewTextHandler(&u.log, nil))}
}

// moved runs the move until the old queue is gone.
func (u *upgrade) moved() {
	u.Helper()
	localtest.Eventually(u, time.Minute, "the old queue is gone", func() bool {
		found, err := u.oldQueue().move(u.Context(), true)
		u.must(err)
		return found == absent
	})
}

// recordNew does the worker's work, until its queue is empty.
func (u *upgrade) recordNew() {
	u.Helper()
	if n, _, err := u.session.Depth(topology.DeadLetterLog); err != nil || n == 0 {
		u.must(err)
		return
	}
	consumer, err := u.session.Consume(topology.DeadLetterLog, "new-"+uuid.NewString(), 100)
	u.must(err)
	defer consumer.Close()
	for {
		ctx, cancel := context.WithTimeout(u.Context(), drainIdle)
		taken, err := consumer.Take(ctx, 100)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		u.must(err)
		_, err = workertest.Deliver(u.T, u.db, New(), taken...)
		u.must(err)
		u.must(consumer.Ack(taken[len(taken)-1]))
	}
}

// recordedOnce compares the table with what has died.
func (u *upgrade) recordedOnce() {
	u.Helper()
	var ids []string
	for _, l := range storetest.DeadLetters(u, u.db) {
		ids = append(ids, l.MessageID)
	}
	slices.Sort(ids)
	want := slices.Sorted(slices.Values(u.died))
	if !slices.Equal(ids, want) {
		u.Errorf("%d letters are recorded of %d: %v, want %v", len(ids), len(want), ids, want)
	}
}

// Dead letters wait in the old queue, and the process dies before each of the steps in turn.
func TestTheOldQueueIsEmptiedWhereverTheMoveBreaks(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"bind", "unbind", "record", "acknowledge", "delete"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			u := newUpgrade(t)
			u.die(3)
			killed, broke := errors.New("killed before "+at), false
			o := u.oldQueue()
			o.step = func(step string) error {
				if step == at {
					broke = true
					return killed
				}
				return nil
			}
			if _, err := o.move(t.Context(), true); !errors.Is(err, killed) || !broke {
				t.Fatalf("the move ended with %v", err)
			}
			u.die(2) // to the old queue, to both, or to the new one
			u.moved()
			u.die(1)
			u.recordNew()
			u.recordedOnce()
			if found, err := u.oldQueue().move(t.Context(), true); err != nil || found != absent {
				t.Errorf("once more: state %d, %v", found, err)
			}
		})
	}
}

// Both versions run: the worker of the version before consumes its queue, and declares it again when it starts anew.
func TestTheOldQueueIsLeftToAWorkerOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	u := newUpgrade(t)
	u.must(rabbitmq.Apply(t.Context(), topology.Compute(nil), u.broker)) // of this version
	before, err := u.session.Consume(topology.OldDeadLetterLog, "before", 100)
	u.must(err)
	u.die(2)
	if found, err := u.oldQueue().move(t.Context(), true); err != nil || found != inUse {
		t.Fatalf("beside a consumer: state %d, %v", found, err)
	}
	u.die(2)
	var taken []rabbitmq.Delivery
	for len(taken) < 4 { // it is still bound
		ctx, cancel := context.WithTimeout(t.Context(), localtest.Deadline(time.Minute))
		more, err := before.Take(ctx, 100)
		cancel()
		u.must(err)
		taken = append(taken, more...)
	}
	_, err = workertest.Deliver(t, u.db, New(), taken[:3]...)
	u.must(err)
	u.must(before.Ack(taken[1]))
	u.must(before.Close())
	u.moved()
	u.recordNew()
	u.recordedOnce()

	u.declareOld() // an old fleet starts again, and is stopped before it consumes
	u.die(2)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	o := u.oldQueue()
	o.grace = time.Millisecond
	go func() { defer close(done); o.Run(ctx) }()
	localtest.Eventually(t, time.Minute, "the old queue that was declared again is deleted", func() bool {
		_, _, err := u.session.Depth(topology.OldDeadLetterLog)
		return errors.Is(err, rabbitmq.ErrMissing)
	})
	stop()
	<-done
	u.recordNew()
	u.recordedOnce()
}

// A fleet of the version before that starts, or goes on alone, finds its queue and its binding, however often this
// version has emptied it.
func TestTheOldQueueStaysForAFleetThatStarts(t *testing.T) {
	t.Parallel()
	u := newUpgrade(t)
	u.die(2)
	for range 3 {
		localtest.Eventually(t, time.Minute, "the old queue is emptied; the broker counts a closed consumer for a moment", func() bool {
			found, err := u.oldQueue().move(t.Context(), false)
			u.must(err)
			return found == emptied
		})
	}
	if ready, consumers, err := u.session.Depth(topology.OldDeadLetterLog); err != nil || ready+consumers > 0 {
		t.Errorf("%d messages and %d consumers, %v", ready, consumers, err)
	}
	u.die(3)
	localtest.Eventually(t, time.Minute, "a fleet of the version before gets what dies", func() bool {
		ready, _, err := u.session.Depth(topology.OldDeadLetterLog)
		u.must(err)
		return ready == 3
	})
	u.recordNew()
	u.recordedOnce()

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	o := u.oldQueue()
	looked := make(chan struct{}, 100)
	o.step = func(step string) error {
		if step == "bind" {
			looked <- struct{}{}
		}
		if step == "unbind" || step == "delete" {
			t.Errorf("the step %s comes at once", step)
		}
		return nil
	}
	go func() { defer close(done); o.Run(ctx) }()
	<-looked
	<-looked
	stop()
	<-done
}
