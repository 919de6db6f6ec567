package screen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/deploy/demo"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/workers"
)

// watcher looks at a demo from outside, as a user could: it asks the database and
// the broker, and knows nothing that they do not.
type Watcher struct {
	Game    *demo.Game
	DB      *store.DB // its own
	Broker  rabbitmq.Config
	Console *Console
	Log     *slog.Logger
	Pace    string

	session *rabbitmq.Session
	mu      sync.Mutex
	seen    View
	lastSeq int64
	lastAt  time.Time
	told    int64 // up to where in the log it has told what happened
}

// How often the database and the broker are looked at, and how many of the looks
// the row of blocks shows.
const (
	lookEvery = 500 * time.Millisecond
	sparks    = 24
)

// watch looks and draws until the context ends, and gives the terminal back.
func (w *Watcher) Watch(ctx context.Context) {
	w.Console.Enter()
	defer w.Console.Leave()
	defer w.hangUp()
	first := w.Game.State().FirstSeq
	w.lastSeq, w.told, w.lastAt = first, first, time.Now()
	var looking sync.WaitGroup
	looking.Go(func() {
		for every(ctx, lookEvery) {
			if err := w.look(ctx, first); err != nil && ctx.Err() == nil {
				w.Log.Warn("looking at the demo", "error", err)
			}
		}
	})
	for every(ctx, redrawEvery) {
		w.Console.draw(w.view())
	}
	looking.Wait()
}

// every waits and reports whether the context is still alive.
func every(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

func (w *Watcher) view() View {
	w.mu.Lock()
	v := w.seen
	w.mu.Unlock()
	v.State, v.Pace, v.Notes = w.Game.State(), w.Pace, w.Console.Notes(4)
	return v
}

// look asks once what the screen shows besides the world itself.
func (w *Watcher) look(ctx context.Context, first int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*lookEvery)
	defer cancel()
	pulse, err := stockview.SummarizeTenant(ctx, w.DB, w.Game.World.Tenant())
	if err != nil {
		return err
	}
	end, err := eventlog.End(ctx, w.DB)
	if err != nil {
		return err
	}
	queues, err := w.depths(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	w.mu.Lock()
	rate := float64(end-w.lastSeq) / now.Sub(w.lastAt).Seconds()
	w.seen.Pulse, w.seen.Queues, w.seen.Events, w.seen.Rate = pulse, queues, end-first, rate
	w.seen.Rates = append(w.seen.Rates, rate)
	if n := len(w.seen.Rates); n > sparks {
		w.seen.Rates = append([]float64(nil), w.seen.Rates[n-sparks:]...)
	}
	w.lastSeq, w.lastAt = end, now
	w.mu.Unlock()
	return w.tell(ctx)
}

// depths asks the broker for the queues that hold anything.
func (w *Watcher) depths(ctx context.Context) (found []Depth, err error) {
	if w.session == nil {
		if w.session, err = rabbitmq.Open(ctx, w.Broker); err != nil {
			return nil, err
		}
	}
	for _, q := range workers.Topology().Queues {
		ready, _, err := w.session.Depth(q.Name)
		if errors.Is(err, rabbitmq.ErrMissing) {
			continue
		}
		if err != nil {
			w.hangUp()
			return nil, err
		}
		if ready > 0 {
			found = append(found, Depth{strings.TrimPrefix(q.Name, topology.QueueName("")), ready})
		}
	}
	return found, nil
}

func (w *Watcher) hangUp() {
	if w.session != nil {
		w.session.Close()
		w.session = nil
	}
}

// told at a time, at most.
const tellLimit = 200

// tell puts what the fleet has said since the last look among what happened: the
// last of each kind, and how many more there were.
func (w *Watcher) tell(ctx context.Context) error {
	found, err := eventlog.EntriesAfter(ctx, w.DB, w.Game.World.Tenant(), w.told, tellLimit,
		event.TypePurchaseOrderCreated, event.TypeInventoryLowStock, event.TypeForecastGenerated, event.TypeLotExpiring)
	if err != nil || len(found) == 0 {
		return err
	}
	w.told = found[len(found)-1].Seq
	count, last := map[event.Type]int{}, map[event.Type]string{}
	var order []event.Type
	for _, l := range found {
		e, err := event.Decode(l.Body)
		if err != nil {
			return fmt.Errorf("reading event %s: %w", l.EventID, err)
		}
		if count[l.Type] == 0 {
			order = append(order, l.Type)
		}
		count[l.Type]++
		last[l.Type] = headlineOf(e.Payload)
	}
	for _, t := range order {
		line := last[t]
		if more := count[t] - 1; more > 0 {
			line += fmt.Sprintf("  (and %d more)", more)
		}
		w.Game.Tell(line)
	}
	return nil
}

// headlineOf is an event in a few words.
func headlineOf(p event.Payload) string {
	switch p := p.(type) {
	case event.PurchaseOrderCreated:
		l := p.Lines[0]
		return fmt.Sprintf("%s: %s × %s from %s for %s, %s", p.PONumber, l.Quantity, l.ItemID, p.SupplierID, p.LocationID, p.TotalAmount.StringFixed(2))
	case event.InventoryLowStock:
		return fmt.Sprintf("%s is low at %s: %s left, %s wanted", p.ItemID, p.LocationID, p.Available, p.Threshold)
	case event.ForecastGenerated:
		return fmt.Sprintf("forecast of %s at %s by %s", p.ItemID, p.LocationID, settings.First(p.Method, p.ModelType))
	case event.LotExpiring:
		return fmt.Sprintf("%s of %s at %s expire on %s", p.Quantity, p.ItemID, p.LocationID, p.ExpiryDate)
	}
	return string(p.EventType())
}
