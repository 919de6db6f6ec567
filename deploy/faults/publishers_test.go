package faults_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// publishers repeat each event until it is confirmed, and record what was confirmed.
type publishers struct {
	quiet  context.CancelFunc // nil: they publish nothing
	hang   context.CancelFunc // breaks off what they are publishing
	silent sync.WaitGroup
	mu     sync.Mutex
	taken  []string // ids of the events that were confirmed
}

// between is the pause after each event.
const between = 25 * time.Millisecond

// speak has both publish until hush or the end of the test.
func (h *environment) speak() {
	begun, hang := context.WithCancel(context.Background())
	ctx, quiet := context.WithCancel(begun)
	h.quiet, h.hang = quiet, hang
	h.silent.Go(func() { h.commit(ctx, begun) })
	h.silent.Go(func() { h.publish(ctx, begun) })
	h.Cleanup(h.hush)
}

// hush waits until what they are publishing is confirmed, for half a minute.
func (h *environment) hush() {
	if h.quiet != nil {
		h.quiet()
		defer time.AfterFunc(localtest.Deadline(30*time.Second), h.hang).Stop()
		h.silent.Wait()
		h.quiet = nil
	}
}

// commit admits sales to the log, two in a transaction.
func (h *environment) commit(ctx, begun context.Context) {
	for i := 0; pause(ctx, between); i++ {
		sales := []event.Any{h.sale(fmt.Sprintf("item-%d", i%10)), h.sale(fmt.Sprintf("item-%d", (i+1)%10))}
		h.admit(begun, sales...)
	}
}

// admit tries until the log has the events: without an answer it asks again.
func (h *environment) admit(ctx context.Context, events ...event.Any) {
	for {
		if _, err := eventlog.AdmitOnce(ctx, h.db, events, true); err == nil {
			h.note(events...)
			return
		}
		if !pause(ctx, between) {
			return
		}
	}
}

// publish publishes sales straight over AMQP, one at a time, through every loss of the session.
func (h *environment) publish(ctx, begun context.Context) {
	till := external.Publisher{Broker: h.outside("till")}
	defer till.Close()
	for i := 0; ctx.Err() == nil; i++ {
		sale := h.sale(fmt.Sprintf("item-%d", i%10))
		if rabbitmqtest.PublishUntilConfirmed(begun, &till, external.Message(sale)) == nil {
			h.note(sale)
		}
		pause(ctx, between)
	}
}

func (h *environment) note(events ...event.Any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		h.taken = append(h.taken, e.ID.String())
	}
}

// confirmed are the ids of the events confirmed so far.
func (h *environment) confirmed() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.taken...)
}

func (h *environment) sale(item string) event.Any {
	return workertest.Event(h, event.SaleCompleted{
		SaleID: uuid.NewString(), ItemID: item, LocationID: "shop", Quantity: workertest.Decimal("1"), Amount: workertest.Decimal("1"), Timestamp: workertest.Day,
	})
}

// pause reports whether ctx is alive after d.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
