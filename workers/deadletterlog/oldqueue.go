package deadletterlog

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
)

// OldQueue moves the dead-letter log from the queue of the version before,
// composerp.dead-journal, to its own. Run it beside the worker.
type OldQueue struct {
	DB     *store.DB
	Broker rabbitmq.Config
	Log    *slog.Logger

	// step, where a test sets it, is called before each step and fails it.
	step func(name string) error
	// grace is deletionGrace where it is zero.
	grace time.Duration
}

const (
	// Without an old queue one question a minute is enough: only an old fleet that starts makes it again.
	absentInterval = time.Minute
	presentPause   = 2 * time.Second
	// A fleet of the version before that starts declares its queue, binds it and consumes from it. A deletion between
	// two of these steps would end its start, and without the binding it would record nothing.
	deletionGrace = 10 * time.Minute
	drainBatch    = 200
	// A drain that gets nothing for this long has emptied the queue, or another consumer holds the rest.
	drainIdle = 500 * time.Millisecond
)

// Run empties the old queue whenever there is one, and unbinds and deletes it once no other consumer was seen for the
// grace, until ctx is done.
func (o OldQueue) Run(ctx context.Context) {
	grace := cmp.Or(o.grace, deletionGrace)
	var said string
	lastUse := time.Now()
	for ctx.Err() == nil {
		pause := presentPause
		state, err := o.move(ctx, time.Since(lastUse) >= grace)
		switch {
		case err != nil && ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			o.Log.Warn("old queue of the dead-letter log is not emptied yet", "queue", topology.OldDeadLetterLog, "error", err)
		case err == nil:
			said = ""
		}
		if state != emptied {
			lastUse = time.Now()
		}
		if state == absent {
			pause = absentInterval
		}
		clock.Sleep(ctx, pause)
	}
}

// state is what move has found of the old queue or made of it.
type state int

const (
	unknown state = iota // after an error
	absent               // there is none, or it was deleted
	inUse                // a worker of the version before records what comes, or another process empties it
	emptied              // what it held is recorded; it has no consumer
)

// move goes once through the steps of the package documentation, the last of them where deleting is true.
func (o OldQueue) move(ctx context.Context, deleting bool) (state, error) {
	cfg := o.Broker
	cfg.Name = "deadletterlog-old"
	session, err := rabbitmq.Open(ctx, cfg)
	if err != nil {
		return unknown, err
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()

	_, consumers, err := session.Depth(topology.OldDeadLetterLog)
	switch {
	case errors.Is(err, rabbitmq.ErrMissing):
		return absent, nil
	case err != nil:
		return unknown, err
	case consumers > 0:
		return inUse, nil
	}
	if err := o.before("bind"); err != nil {
		return unknown, err
	}
	if err := rabbitmq.Apply(ctx, newQueue(), o.Broker); err != nil {
		return unknown, err
	}
	if err := o.drain(ctx, session); err != nil {
		return unknown, err
	}
	if !deleting {
		return emptied, nil
	}
	return o.delete(ctx, session)
}

// delete takes away the binding, records what came until then, and deletes the queue.
func (o OldQueue) delete(ctx context.Context, session *rabbitmq.Session) (state, error) {
	if err := o.before("unbind"); err != nil {
		return unknown, err
	}
	old := topology.BindingSpec{Exchange: topology.Dead, Queue: topology.OldDeadLetterLog, RoutingKey: "#"}
	if err := rabbitmq.Unbind(ctx, o.Broker, []topology.BindingSpec{old}); err != nil {
		return unknown, err
	}
	if err := o.drain(ctx, session); err != nil {
		return unknown, err
	}
	if err := o.before("delete"); err != nil {
		return unknown, err
	}
	gone, err := session.DeleteIdle(topology.OldDeadLetterLog)
	if err != nil || !gone {
		return unknown, err
	}
	o.Log.Info("old queue of the dead-letter log is deleted", "queue", topology.OldDeadLetterLog)
	return absent, nil
}

// newQueue is the worker's own queue and its binding, as the fleet's topology has them.
func newQueue() topology.Topology {
	all := topology.Compute(nil)
	return topology.Topology{
		Queues:   slices.DeleteFunc(all.Queues, func(q topology.QueueSpec) bool { return q.Name != topology.DeadLetterLog }),
		Bindings: slices.DeleteFunc(all.Bindings, func(b topology.BindingSpec) bool { return b.Queue != topology.DeadLetterLog }),
	}
}

// drain records what is in the old queue and acknowledges it afterwards.
func (o OldQueue) drain(ctx context.Context, session *rabbitmq.Session) error {
	ready, _, err := session.Depth(topology.OldDeadLetterLog)
	if err != nil || ready == 0 {
		return err // without a consumer of its own the queue can be deleted at once
	}
	consumer, err := session.Consume(topology.OldDeadLetterLog, "deadletterlog-old."+uuid.NewString(), drainBatch)
	if err != nil {
		return err
	}
	defer consumer.Close()
	for {
		waiting, cancel := context.WithTimeout(ctx, drainIdle)
		taken, err := consumer.Take(waiting, drainBatch)
		cancel()
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := o.before("record"); err != nil {
			return err
		}
		if err := o.DB.InTx(ctx, func(tx store.Tx) error { return failures.RecordDeadLetters(ctx, tx, lettersOf(taken)) }); err != nil {
			return err
		}
		if err := o.before("acknowledge"); err != nil {
			return err
		}
		if err := consumer.Ack(taken[len(taken)-1]); err != nil {
			return err
		}
		o.Log.Debug("dead letters of the old queue are recorded", "queue", topology.OldDeadLetterLog, "letters", len(taken))
	}
}

func (o OldQueue) before(step string) error {
	if o.step == nil {
		return nil
	}
	return o.step(step)
}
