package bench

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Config says where to measure and how much. The servers must allow making databases and virtual hosts; all three URLs
// are needed.
type Config struct {
	DatabaseURL   string
	AMQPURL       string
	ManagementURL string
	// Runs is how many rounds are measured; 0 means 3.
	Runs int
	// Events is how many events one run carries; 0 means 20,000.
	Events int
	// IdleEvents is how many events one latency run sends; 0 means 200.
	IdleEvents int
	// Progress, if set, is called with what has just been measured.
	Progress func(string)
}

// runLimit is how long one run may take; one that takes longer has failed.
const runLimit = 5 * time.Minute

// Run measures everything in rounds. It returns an error when a run fails, times out or leaves wrong tables.
func Run(ctx context.Context, cfg Config) (Report, error) {
	s, err := connect(ctx, &cfg)
	if err != nil {
		return Report{}, err
	}
	defer s.close()
	report := Report{Events: cfg.Events, Machine: ThisMachine(), Versions: s.versions(ctx)}
	for i := range cfg.Runs {
		round, err := measureRound(ctx, cfg, s, i)
		if err != nil {
			return Report{}, err
		}
		report.Rounds = append(report.Rounds, round)
	}
	if report.Recording, err = measureRecording(ctx, s); err != nil {
		return Report{}, fmt.Errorf("measuring what recording costs: %w", err)
	}
	report.summarize()
	return report, nil
}

func (cfg *Config) defaults() {
	cfg.Runs = cmp.Or(max(cfg.Runs, 0), 3)
	cfg.Events = cmp.Or(max(cfg.Events, 0), 20_000)
	cfg.IdleEvents = cmp.Or(max(cfg.IdleEvents, 0), 200)
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
}

// measureRound measures everything once. Odd rounds go in reverse order, so that a drift of the machine favours no
// part.
func measureRound(ctx context.Context, cfg Config, s *servers, number int) (Round, error) {
	var r Round
	throughput := func(what string, into *Throughput, run func(context.Context, *servers, int) (Throughput, error)) func() error {
		return func() (err error) {
			limited, cancel := context.WithTimeout(ctx, runLimit)
			defer cancel()
			if *into, err = run(limited, s, cfg.Events); err != nil {
				return fmt.Errorf("measuring %s: %w", what, err)
			}
			cfg.Progress(fmt.Sprintf("round %d of %d: %s: %s", number+1, cfg.Runs, what, into))
			return nil
		}
	}
	steps := []func() error{
		throughput("the reference", &r.Reference, runReference),
		throughput("same work", &r.SameWork, runSameWork),
		throughput("the ledger", &r.Ledger, runLedger),
		throughput("the whole fleet", &r.Fleet, runWhole),
	}
	for i := range steps {
		if number%2 == 1 {
			i = len(steps) - 1 - i
		}
		if err := steps[i](); err != nil {
			return r, err
		}
	}
	return r, measureIdle(ctx, cfg, s, number, &r)
}

func measureIdle(ctx context.Context, cfg Config, s *servers, number int, r *Round) (err error) {
	limited, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	if r.IdleReference, err = runIdleReference(limited, s, cfg.IdleEvents); err != nil {
		return fmt.Errorf("measuring the reference's idle latency: %w", err)
	}
	if r.Idle, err = runIdle(limited, s, cfg.IdleEvents); err != nil {
		return fmt.Errorf("measuring idle latency: %w", err)
	}
	cfg.Progress(fmt.Sprintf("round %d of %d: idle: %s; the reference: %s", number+1, cfg.Runs, r.Idle, r.IdleReference))
	return nil
}
