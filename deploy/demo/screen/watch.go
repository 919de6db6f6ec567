package screen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/composerp/composerp/deploy/demo"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/workers"
)

// Watcher shows a running simulation on a console. It reads the fleet's state from the database and the broker, as a
// user could. All fields are needed.
type Watcher struct {
	Simulation *demo.Simulation
	DB         *store.DB // its own
	Broker     rabbitmq.Config
	Console    *Console
	Log        *slog.Logger
	Pace       string

	session  *rabbitmq.Session
	mu       sync.Mutex
	latest   view
	lastSeq  int64
	lastAt   time.Time
	notedSeq int64 // the last event of the log that has been noted
}

// How often the database and the broker are polled, and how many polls the row of blocks shows.
const (
	pollEvery = 500 * time.Millisecond
	sparks    = 24
)

// Watch polls and draws until ctx ends, and restores the terminal.
func (w *Watcher) Watch(ctx context.Context) {
	w.Console.enter()
	defer w.Console.Leave()
	defer w.closeSession()
	first := w.Simulation.State().FirstSeq
	w.lastSeq, w.notedSeq, w.lastAt = first, first, time.Now()
	var polling sync.WaitGroup
	polling.Go(func() {
		for clock.Sleep(ctx, pollEvery) {
			if err := w.poll(ctx, first); err != nil && ctx.Err() == nil {
				w.Log.Warn("the demo's screen could not be updated", "error", err)
			}
		}
	})
	for clock.Sleep(ctx, redrawEvery) {
		w.Console.draw(w.view())
	}
	polling.Wait()
}

func (w *Watcher) view() view {
	w.mu.Lock()
	v := w.latest
	w.mu.Unlock()
	v.State, v.Pace, v.Notes = w.Simulation.State(), w.Pace, w.Console.notes(4)
	return v
}

// poll reads once what the screen shows besides the simulation's own state.
func (w *Watcher) poll(ctx context.Context, first int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*pollEvery)
	defer cancel()
	summary, err := stockview.SummarizeTenant(ctx, w.DB, w.Simulation.Scenario.Tenant())
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
	w.latest.Summary, w.latest.Queues, w.latest.Events, w.latest.Rate = summary, queues, end-first, rate
	w.latest.Rates = append(w.latest.Rates, rate)
	if n := len(w.latest.Rates); n > sparks {
		w.latest.Rates = append([]float64(nil), w.latest.Rates[n-sparks:]...)
	}
	w.lastSeq, w.lastAt = end, now
	w.mu.Unlock()
	return w.note(ctx)
}

// depths reads the queues that are not empty.
func (w *Watcher) depths(ctx context.Context) (found []queueDepth, err error) {
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
			w.closeSession()
			return nil, err
		}
		if ready > 0 {
			found = append(found, queueDepth{strings.TrimPrefix(q.Name, topology.QueueName("")), ready})
		}
	}
	return found, nil
}

func (w *Watcher) closeSession() {
	if w.session != nil {
		w.session.Close()
		w.session = nil
	}
}

// noteLimit is how many events are read at a time.
const noteLimit = 200

// note adds the fleet's events since the last poll to the simulation's notes: the last one of each type, and how many
// more there were.
func (w *Watcher) note(ctx context.Context) error {
	found, err := eventlog.EntriesAfter(ctx, w.DB, w.Simulation.Scenario.Tenant(), w.notedSeq, noteLimit,
		event.TypePurchaseOrderCreated, event.TypeInventoryLowStock, event.TypeForecastGenerated, event.TypeLotExpiring)
	if err != nil || len(found) == 0 {
		return err
	}
	w.notedSeq = found[len(found)-1].Seq
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
		last[l.Type] = describe(e.Payload)
	}
	for _, t := range order {
		line := last[t]
		if more := count[t] - 1; more > 0 {
			line += fmt.Sprintf("  (and %d more)", more)
		}
		w.Simulation.Note(line)
	}
	return nil
}

// describe is an event in a few words.
func describe(p event.Payload) string {
	switch p := p.(type) {
	case event.PurchaseOrderCreated:
		l := p.Lines[0]
		return fmt.Sprintf("%s: %s × %s from %s for %s, %s", p.PONumber, l.Quantity, l.ItemID, p.SupplierID, p.LocationID, p.TotalAmount.StringFixed(2))
	case event.InventoryLowStock:
		return fmt.Sprintf("%s is low at %s: %s available, threshold %s", p.ItemID, p.LocationID, p.Available, p.Threshold)
	case event.ForecastGenerated:
		return fmt.Sprintf("forecast of %s at %s by %s", p.ItemID, p.LocationID, cmp.Or(p.Method, p.ModelType))
	case event.LotExpiring:
		return fmt.Sprintf("%s of %s at %s expire on %s", p.Quantity, p.ItemID, p.LocationID, p.ExpiryDate)
	}
	return string(p.EventType())
}
