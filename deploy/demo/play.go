package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/deploy/outsider"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
)

// Config says which world is lived with which fleet. World, DB, Exchange and
// Consumers are needed.
type Config struct {
	World    World
	DB       *store.DB
	Exchange rabbitmq.Config
	// Consumers are the fleet's workers that owe an effect.
	Consumers []string
	// Days is how many are lived, 0: all there are. Until is the last of them, "": none.
	Days  int
	Until event.Date
	// Pace is the least time a day takes; 0: as fast as the fleet handles it.
	Pace time.Duration
	// Ended, when set, is told at the end of each day.
	Ended func(State)
	// Patience is how long the fleet may take to handle a part of a day; 2 min.
	Patience time.Duration
}

// Game is a world that is lived.
type Game struct {
	Config
	facts     facts
	suppliers *Suppliers
	speaker   speaker
	buyer     buyer
	board     board
	// first and last are this run's days, left the one on which an earlier run ended.
	first, last, left event.Date
}

// Open opens the suppliers' door, which stays open until the context ends, writes
// the master data down and finds the day on which the world goes on.
func Open(ctx context.Context, cfg Config) (*Game, error) {
	if cfg.Patience <= 0 {
		cfg.Patience = 2 * time.Minute
	}
	f := cfg.World.facts()
	g := &Game{
		Config: cfg, facts: f, suppliers: newSuppliers(f.seed, f.sources, f.zone, f.keeps),
		speaker: speaker{db: cfg.DB, line: outsider.Line{Broker: cfg.Exchange}, consumers: cfg.Consumers, patience: cfg.Patience},
	}
	g.buyer = buyer{db: cfg.DB, tenant: cfg.World.Tenant(), rejects: f.rejects}
	if err := g.suppliers.listen(ctx); err != nil {
		return nil, err
	}
	if err := g.resume(ctx); err != nil {
		return nil, err
	}
	if err := g.writeDown(ctx); err != nil {
		return nil, err
	}
	end, err := eventlog.End(ctx, cfg.DB)
	g.speaker.before, g.speaker.since = end, end
	g.board.begin(g.first, g.last, end)
	return g, err
}

// Run lives the days. It ends with the last of them, with ctx, or when the fleet
// does not keep up.
func (g *Game) Run(ctx context.Context) error {
	defer g.speaker.line.HangUp()
	g.board.start()
	defer g.board.stop()
	next := time.Now()
	for date := g.first; g.last == "" || date <= g.last; date = date.AddDays(1) {
		next = next.Add(g.Pace)
		if now := time.Now(); next.Before(now) {
			next = now // behind: the days that were late are not made up for
		}
		if err := g.live(ctx, date, next); err != nil {
			return fmt.Errorf("living %s: %w", date, err)
		}
		if g.Ended != nil {
			g.Ended(g.State())
		}
	}
	return nil
}

// live is one day, which ends not before the moment given.
func (g *Game) live(ctx context.Context, date event.Date, until time.Time) error {
	g.board.open(date)
	if err := g.morning(ctx, date); err != nil {
		return err
	}
	trade, err := g.World.Trade(ctx, date)
	if err != nil {
		return err
	}
	if err := g.trade(ctx, trade, until); err != nil {
		return err
	}
	if err := g.evening(ctx, date); err != nil {
		return err
	}
	return rest(ctx, time.Until(until))
}

// morning takes in what has arrived; then the buyer looks at what waits. A
// delivery note that comes twice comes through the log, and once more from a
// carrier who publishes it himself.
func (g *Game) morning(ctx context.Context, date event.Date) error {
	said, err := g.World.Morning(date)
	if err != nil {
		return err
	}
	var again []event.Any
	for _, d := range g.suppliers.due(date) {
		e := g.World.Arrive(d, date)
		said.log(e)
		if d.Twice {
			again = append(again, e)
			said.happened("%s: the delivery note of %s comes twice", d.Supplier, d.PONumber)
		}
		if d.Late > 0 && d.Part == 1 {
			said.happened("%s delivers %s %s late", d.Supplier, d.PONumber, plural(d.Late, "day"))
		}
		if d.Part > 1 {
			said.happened("%s brings the rest of %s", d.Supplier, d.PONumber)
		}
	}
	if err := g.say(ctx, said); err != nil {
		return err
	}
	if err := g.speaker.direct(ctx, again); err != nil {
		return err
	}
	g.board.repeated(len(again))
	if err := g.settle(ctx); err != nil {
		return err
	}
	decided, err := g.buyer.decide(ctx, date, g.facts.zone)
	g.board.tellAll(decided)
	if err != nil || len(decided) == 0 {
		return err
	}
	return g.settle(ctx)
}

// portions is into how many pieces the hours of trade are cut where there is time.
const portions = 8

// trade says a day's sales, spread over what is left of the day where it is
// paced: the last of it is left for the evening.
func (g *Game) trade(ctx context.Context, said Said, until time.Time) error {
	left := time.Until(until)
	if g.Pace <= 0 || left <= 0 {
		if err := g.say(ctx, said); err != nil {
			return err
		}
		return g.settle(ctx)
	}
	began := time.Now()
	for i := range portions {
		part := said.slice(i, portions)
		if err := g.say(ctx, part); err != nil {
			return err
		}
		due := began.Add(left * time.Duration(i+1) / (portions + 1))
		if err := rest(ctx, time.Until(due)); err != nil {
			return err
		}
	}
	return g.settle(ctx)
}

func (g *Game) evening(ctx context.Context, date event.Date) (err error) {
	var found []lots.OnHandLots
	if g.facts.expires {
		if found, err = lots.OnHand(ctx, g.DB, masterdata.PositionKey{Tenant: g.World.Tenant()}); err != nil {
			return err
		}
	}
	said, err := g.World.Evening(date, found)
	if err != nil {
		return err
	}
	if err := g.say(ctx, said); err != nil {
		return err
	}
	return g.settle(ctx)
}

// say says on both roads what a part of a day holds.
func (g *Game) say(ctx context.Context, said Said) error {
	fresh, err := g.speaker.log(ctx, said.Logged)
	if err != nil {
		return err
	}
	if err := g.speaker.direct(ctx, said.Direct); err != nil {
		return err
	}
	g.board.said(said, fresh)
	return nil
}

func (g *Game) settle(ctx context.Context) error {
	if err := g.speaker.settle(ctx); err != nil {
		return err
	}
	calls, word := g.suppliers.heard()
	g.board.called(calls, word)
	return nil
}

func rest(ctx context.Context, pause time.Duration) error {
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
func (g *Game) LostIsSold() bool { return g.facts.lostIsSold }
