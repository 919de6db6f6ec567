package deadletterlog

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

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
}

const (
	// Without an old queue one question a minute is enough: only an old fleet that starts makes it again.
	absentInterval = time.Minute
	presentPause   = 2 * time.Second
	drainBatch     = 200
	// A drain that gets nothing for this long has emptied the queue, or another consumer holds the rest.
	drainIdle = 500 * time.Millisecond
)

// Run moves and deletes the old queue whenever there is one, until ctx is done.
func (o OldQueue) Run(ctx context.Context) {
	var said string
	for ctx.Err() == nil {
		pause := presentPause
		gone, err := o.move(ctx)
		switch {
		case err != nil && ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			o.Log.Warn("old queue of the dead-letter log is not emptied yet", "queue", topology.OldDeadLetterLog, "error", err)
		case err == nil:
			said = ""
		}
		if gone {
			pause = absentInterval
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// move goes once through the steps of the package documentation. gone says that there is no old queue.
func (o OldQueue) move(ctx context.Context) (gone bool, err error) {
	cfg := o.Broker
	cfg.Name = "deadletterlog-old"
	session, err := rabbitmq.Open(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()

	_, consumers, err := session.Depth(topology.OldDeadLetterLog)
	if errors.Is(err, rabbitmq.ErrMissing) {
		return true, nil
	}
	if err != nil || consumers > 0 { // a worker of the version before records what comes, or another process is at it
		return false, err
	}
	if err := o.before("bind"); err != nil {
		return false, err
	}
	if err := rabbitmq.Apply(ctx, newQueue(), cfg); err != nil {
		return false, err
	}
	if err := o.before("unbind"); err != nil {
		return false, err
	}
	old := topology.BindingSpec{Exchange: topology.Dead, Queue: topology.OldDeadLetterLog, RoutingKey: "#"}
	if err := rabbitmq.Unbind(ctx, cfg, []topology.BindingSpec{old}); err != nil {
		return false, err
	}
	n, err := o.drain(ctx, session)
	if n > 0 {
		o.Log.Info("dead letters of the old queue are recorded", "queue", topology.OldDeadLetterLog, "letters", n)
	}
	if err != nil {
		return false, err
	}
	if err := o.before("delete"); err != nil {
		return false, err
	}
	gone, err = session.DeleteIdle(topology.OldDeadLetterLog)
	if gone && err == nil {
		o.Log.Info("old queue of the dead-letter log is deleted", "queue", topology.OldDeadLetterLog)
	}
	return gone, err
}

// newQueue is the worker's own queue and its binding, as the fleet's topology has them.
func newQueue() (own topology.Topology) {
	for _, q := range topology.Compute(nil).Queues {
		if q.Name == topology.DeadLetterLog {
			own.Queues = append(own.Queues, q)
		}
	}
	for _, b := range topology.Compute(nil).Bindings {
		if b.Queue == topology.DeadLetterLog {
			own.Bindings = append(own.Bindings, b)
		}
	}
	return own
}

// drain records what is in the old queue and acknowledges it afterwards.
func (o OldQueue) drain(ctx context.Context, session *rabbitmq.Session) (letters int, err error) {
	ready, _, err := session.Depth(topology.OldDeadLetterLog)
	if err != nil || ready == 0 {
		return 0, err // without a consumer of its own the queue can be deleted at once
	}
	consumer, err := session.Consume(topology.OldDeadLetterLog, "deadletterlog-old."+uuid.NewString(), drainBatch)
	if err != nil {
		return 0, err
	}
	defer consumer.Close()
	for {
		waiting, cancel := context.WithTimeout(ctx, drainIdle)
		taken, err := consumer.Take(waiting, drainBatch)
		cancel()
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return letters, nil
		}
		if err != nil {
			return letters, err
		}
		if err := o.before("record"); err != nil {
			return letters, err
		}
		if err := o.DB.InTx(ctx, func(tx store.Tx) error { return failures.RecordDeadLetters(ctx, tx, lettersOf(taken)) }); err != nil {
			return letters, err
		}
		if err := o.before("acknowledge"); err != nil {
			return letters, err
		}
		if err := consumer.Ack(taken[len(taken)-1]); err != nil {
			return letters, err
		}
		letters += len(taken)
	}
}

func (o OldQueue) before(step string) error {
	if o.step == nil {
		return nil
	}
	return o.step(step)
}
