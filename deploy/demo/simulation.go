package demo

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
)

// Config says what to simulate, with which fleet. Scenario, DB, Broker and Consumers are needed.
type Config struct {
	Scenario Scenario
	DB       *store.DB
	Broker   rabbitmq.Config
	// Consumers are the fleet's workers that track their events in the inbox.
	Consumers []string
	// Days is how many days are simulated, 0: all. Until is the last of them, "": no limit.
	Days  int
	Until event.Date
	// Pace is the least time a day takes; 0: as fast as the fleet handles it.
	Pace time.Duration
	// DayEnded, if set, is called at the end of each day.
	DayEnded func(State)
	// Timeout is how long the fleet may take to handle a part of a day; 2 min.
	Timeout time.Duration
}

// Simulation publishes the days of a scenario, one after another.
type Simulation struct {
	Config
	facts     facts
	suppliers *supplierServer
	publisher publisher
	buyer     buyer
	progress  progress
	// first and last are this run's days, left is the last day of an earlier run.
	first, last, left event.Date
}

// Open starts the suppliers' server, which runs until ctx ends, writes the master data and finds the first day.
func Open(ctx context.Context, cfg Config) (*Simulation, error) {
	cfg.Timeout = cmp.Or(max(cfg.Timeout, 0), 2*time.Minute)
	f := cfg.Scenario.facts()
	s := &Simulation{
		Config: cfg, facts: f, suppliers: newSuppliers(f.seed, f.suppliers, f.zone, f.shelfLife),
		publisher: publisher{db: cfg.DB, external: external.Publisher{Broker: cfg.Broker}, consumers: cfg.Consumers, timeout: cfg.Timeout},
	}
	s.buyer = buyer{db: cfg.DB, tenant: cfg.Scenario.Tenant(), rejection: f.rejection}
	if err := s.suppliers.listen(ctx); err != nil {
		return nil, err
	}
	if err := s.resume(ctx); err != nil {
		return nil, err
	}
	if err := s.setMasterData(ctx); err != nil {
		return nil, err
	}
	end, err := eventlog.End(ctx, cfg.DB)
	s.publisher.checkFrom, s.publisher.lastEnd = end, end
	s.progress.setSpan(s.first, s.last, end)
	return s, err
}

// Run simulates the days. It ends after the last of them, with ctx, or when the fleet does not handle a part of a day
// within the timeout.
func (s *Simulation) Run(ctx context.Context) error {
	defer s.publisher.external.Close()
	s.progress.start()
	defer s.progress.stop()
	next := time.Now()
	for date := s.first; s.last == "" || date <= s.last; date = date.AddDays(1) {
		next = next.Add(s.Pace)
		if now := time.Now(); next.Before(now) {
			next = now // behind: later days are not shortened to catch up
		}
		if err := s.runDay(ctx, date, next); err != nil {
			return fmt.Errorf("simulating %s: %w", date, err)
		}
		if s.DayEnded != nil {
			s.DayEnded(s.State())
		}
	}
	return nil
}

// runDay simulates one day, which does not end before until.
func (s *Simulation) runDay(ctx context.Context, date event.Date, until time.Time) error {
	s.progress.startDay(date)
	if err := s.openDay(ctx, date); err != nil {
		return err
	}
	trade, err := s.Scenario.Trade(ctx, date)
	if err != nil {
		return err
	}
	if err := s.trade(ctx, trade, until); err != nil {
		return err
	}
	if err := s.closeDay(ctx, date); err != nil {
		return err
	}
	clock.Sleep(ctx, time.Until(until))
	return ctx.Err()
}

// openDay receives the deliveries; then the buyer decides the waiting orders. A delivery note that is sent twice is
// published through the log, and once more straight over AMQP.
func (s *Simulation) openDay(ctx context.Context, date event.Date) error {
	activity, err := s.Scenario.OpenDay(date)
	if err != nil {
		return err
	}
	var repeated []event.Any
	for _, d := range s.suppliers.due(date) {
		e := s.Scenario.Arrive(d, date)
		activity.add(e)
		if d.Twice {
			repeated = append(repeated, e)
			activity.note("%s sends the delivery note of %s twice", d.Supplier, d.PONumber)
		}
		if d.Late > 0 && d.Part == 1 {
			activity.note("%s delivers %s %s late", d.Supplier, d.PONumber, wording.Count(int64(d.Late), "day"))
		}
		if d.Part > 1 {
			activity.note("%s delivers the rest of %s", d.Supplier, d.PONumber)
		}
	}
	if err := s.publish(ctx, activity); err != nil {
		return err
	}
	if err := s.publisher.publish(ctx, repeated); err != nil {
		return err
	}
	s.progress.repeated(len(repeated))
	if err := s.settle(ctx); err != nil {
		return err
	}
	decided, err := s.buyer.decide(ctx, date, s.facts.zone)
	s.progress.note(decided)
	if err != nil || len(decided) == 0 {
		return err
	}
	return s.settle(ctx)
}

// tradeSlices is into how many parts the sales of a paced day are cut.
const tradeSlices = 8

// trade publishes a day's sales. In a paced day it spreads them over the time that is left, except for the last slice,
// which is for closing the day.
func (s *Simulation) trade(ctx context.Context, activity Activity, until time.Time) error {
	left := time.Until(until)
	if s.Pace <= 0 || left <= 0 {
		if err := s.publish(ctx, activity); err != nil {
			return err
		}
		return s.settle(ctx)
	}
	began := time.Now()
	for i := range tradeSlices {
		part := activity.slice(i, tradeSlices)
		if err := s.publish(ctx, part); err != nil {
			return err
		}
		due := began.Add(left * time.Duration(i+1) / (tradeSlices + 1))
		if !clock.Sleep(ctx, time.Until(due)) {
			return ctx.Err()
		}
	}
	return s.settle(ctx)
}

func (s *Simulation) closeDay(ctx context.Context, date event.Date) (err error) {
	var found []lots.OnHandLots
	if s.facts.expires {
		if found, err = lots.OnHand(ctx, s.DB, masterdata.PositionKey{Tenant: s.Scenario.Tenant()}); err != nil {
			return err
		}
	}
	activity, err := s.Scenario.CloseDay(date, found)
	if err != nil {
		return err
	}
	if err := s.publish(ctx, activity); err != nil {
		return err
	}
	return s.settle(ctx)
}

// publish publishes the events of a part of a day, through the log and over AMQP.
func (s *Simulation) publish(ctx context.Context, activity Activity) error {
	fresh, err := s.publisher.admit(ctx, activity.Logged)
	if err != nil {
		return err
	}
	if err := s.publisher.publish(ctx, activity.Direct); err != nil {
		return err
	}
	s.progress.count(activity, fresh)
	return nil
}

func (s *Simulation) settle(ctx context.Context) error {
	if err := s.publisher.settle(ctx); err != nil {
		return err
	}
	calls, notes := s.suppliers.report()
	s.progress.setCalls(calls, notes)
	return nil
}

// SellsWithoutStock reports whether the lost sales are among the sold pieces.
func (s *Simulation) SellsWithoutStock() bool { return s.facts.sellsWithoutStock }
