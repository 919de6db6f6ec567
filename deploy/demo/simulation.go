package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
)

// Config says which world is lived with which fleet. World, DB, Exchange and
// Consumers are needed.
type Config struct {
	Scenario Scenario
	DB       *store.DB
	Broker   rabbitmq.Config
	// Consumers are the fleet's workers that owe an effect.
	Consumers []string
	// Days is how many are lived, 0: all there are. Until is the last of them, "": none.
	Days  int
	Until event.Date
	// Pace is the least time a day takes; 0: as fast as the fleet handles it.
	Pace time.Duration
	// Ended, when set, is told at the end of each day.
	DayEnded func(State)
	// Patience is how long the fleet may take to handle a part of a day; 2 min.
	Timeout time.Duration
}

// Game is a world that is lived.
type Simulation struct {
	Config
	facts     facts
	suppliers *Suppliers
	publisher publisher
	buyer     buyer
	progress  progress
	// first and last are this run's days, left the one on which an earlier run ended.
	first, last, left event.Date
}

// Open opens the suppliers' door, which stays open until the context ends, writes
// the master data down and finds the day on which the world goes on.
func Open(ctx context.Context, cfg Config) (*Simulation, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Minute
	}
	f := cfg.Scenario.facts()
	g := &Simulation{
		Config: cfg, facts: f, suppliers: newSuppliers(f.seed, f.suppliers, f.zone, f.shelfLife),
		publisher: publisher{db: cfg.DB, external: external.Publisher{Broker: cfg.Broker}, consumers: cfg.Consumers, timeout: cfg.Timeout},
	}
	g.buyer = buyer{db: cfg.DB, tenant: cfg.Scenario.Tenant(), rejection: f.rejection}
	if err := g.suppliers.listen(ctx); err != nil {
		return nil, err
	}
	if err := g.resume(ctx); err != nil {
		return nil, err
	}
	if err := g.setMasterData(ctx); err != nil {
		return nil, err
	}
	end, err := eventlog.End(ctx, cfg.DB)
	g.publisher.checkFrom, g.publisher.lastEnd = end, end
	g.progress.setSpan(g.first, g.last, end)
	return g, err
}

// Run lives the days. It ends with the last of them, with ctx, or when the fleet
// does not keep up.
func (g *Simulation) Run(ctx context.Context) error {
	defer g.publisher.external.Close()
	g.progress.start()
	defer g.progress.stop()
	next := time.Now()
	for date := g.first; g.last == "" || date <= g.last; date = date.AddDays(1) {
		next = next.Add(g.Pace)
		if now := time.Now(); next.Before(now) {
			next = now // behind: the days that were late are not made up for
		}
		if err := g.runDay(ctx, date, next); err != nil {
			return fmt.Errorf("living %s: %w", date, err)
		}
		if g.DayEnded != nil {
			g.DayEnded(g.State())
		}
	}
	return nil
}

// live is one day, which ends not before the moment given.
func (g *Simulation) runDay(ctx context.Context, date event.Date, until time.Time) error {
	g.progress.startDay(date)
	if err := g.openDay(ctx, date); err != nil {
		return err
	}
	trade, err := g.Scenario.Trade(ctx, date)
	if err != nil {
		return err
	}
	if err := g.trade(ctx, trade, until); err != nil {
		return err
	}
	if err := g.closeDay(ctx, date); err != nil {
		return err
	}
	return sleep(ctx, time.Until(until))
}

// morning takes in what has arrived; then the buyer looks at what waits. A
// delivery note that comes twice comes through the log, and once more from a
// carrier who publishes it himself.
func (g *Simulation) openDay(ctx context.Context, date event.Date) error {
	said, err := g.Scenario.OpenDay(date)
	if err != nil {
		return err
	}
	var again []event.Any
	for _, d := range g.suppliers.due(date) {
		e := g.Scenario.Arrive(d, date)
		said.add(e)
		if d.Twice {
			again = append(again, e)
			said.note("%s: the delivery note of %s comes twice", d.Supplier, d.PONumber)
		}
		if d.Late > 0 && d.Part == 1 {
			said.note("%s delivers %s %s late", d.Supplier, d.PONumber, plural(d.Late, "day"))
		}
		if d.Part > 1 {
			said.note("%s brings the rest of %s", d.Supplier, d.PONumber)
		}
	}
	if err := g.publish(ctx, said); err != nil {
		return err
	}
	if err := g.publisher.publish(ctx, again); err != nil {
		return err
	}
	g.progress.repeated(len(again))
	if err := g.settle(ctx); err != nil {
		return err
	}
	decided, err := g.buyer.decide(ctx, date, g.facts.zone)
	g.progress.note(decided)
	if err != nil || len(decided) == 0 {
		return err
	}
	return g.settle(ctx)
}

// portions is into how many pieces the hours of trade are cut where there is time.
const tradeSlices = 8

// trade says a day's sales, spread over what is left of the day where it is
// paced: the last of it is left for the evening.
func (g *Simulation) trade(ctx context.Context, said Activity, until time.Time) error {
	left := time.Until(until)
	if g.Pace <= 0 || left <= 0 {
		if err := g.publish(ctx, said); err != nil {
			return err
		}
		return g.settle(ctx)
	}
	began := time.Now()
	for i := range tradeSlices {
		part := said.slice(i, tradeSlices)
		if err := g.publish(ctx, part); err != nil {
			return err
		}
		due := began.Add(left * time.Duration(i+1) / (tradeSlices + 1))
		if err := sleep(ctx, time.Until(due)); err != nil {
			return err
		}
	}
	return g.settle(ctx)
}

func (g *Simulation) closeDay(ctx context.Context, date event.Date) (err error) {
	var found []lots.OnHandLots
	if g.facts.expires {
		if found, err = lots.OnHand(ctx, g.DB, masterdata.PositionKey{Tenant: g.Scenario.Tenant()}); err != nil {
			return err
		}
	}
	said, err := g.Scenario.CloseDay(date, found)
	if err != nil {
		return err
	}
	if err := g.publish(ctx, said); err != nil {
		return err
	}
	return g.settle(ctx)
}

// say says on both roads what a part of a day holds.
func (g *Simulation) publish(ctx context.Context, said Activity) error {
	fresh, err := g.publisher.admit(ctx, said.Logged)
	if err != nil {
		return err
	}
	if err := g.publisher.publish(ctx, said.Direct); err != nil {
		return err
	}
	g.progress.count(said, fresh)
	return nil
}

func (g *Simulation) settle(ctx context.Context) error {
	if err := g.publisher.settle(ctx); err != nil {
		return err
	}
	calls, word := g.suppliers.report()
	g.progress.setCalls(calls, word)
	return nil
}

func sleep(ctx context.Context, pause time.Duration) error {
	if pause <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// LostIsSold tells whether what was not on the shelf is among what was sold.
func (g *Simulation) SellsWithoutStock() bool { return g.facts.soldUnlimited }
