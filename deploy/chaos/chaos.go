package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/deploy/bench"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/workers/runtime/audit"
)

// Config says what to run. Program, Dir and Version are needed.
type Config struct {
	Seed     uint64
	Duration time.Duration // of the schedule; default a minute
	Faults   []Fault       // default all
	Program  string        // composerp itself, run as `composerp up`
	Version  string        // its version, for the results
	Dir      string        // data and logs; deleted after a run without findings
	Rate     int           // messages a second; default 100
	Slowness float64       // how many times as long as usual everything may take, on a slow machine; default 1
	Log      *slog.Logger  // default: none
	// Environment is added to the environment of the fleet's processes, which inherit nothing else.
	Environment []string
	Progress    func(text string) // called with what is being done; may be nil

	// sabotage is called before the proof: a test damages data there that the proof must find.
	sabotage func(ctx context.Context, env *environment) error
}

const (
	defaultDuration = time.Minute
	defaultRate     = 100
	// extraTime is how much longer than its schedule a run may take.
	extraTime = 2 * time.Minute
	// healTimeout bounds the healing of a fault: a broker takes 15 s to start on a busy machine.
	healTimeout = 45 * time.Second
	// injectTimeout bounds the injection of a fault: an orderly stop of the broker takes 6 s.
	injectTimeout = 30 * time.Second
	// lastHeal is how long faults are still healed after the end of a run.
	lastHeal = 10 * time.Second
	cleanUp  = 30 * time.Second
)

// allow is how long something may take on this machine that takes d at most on a usual one.
func (c Config) allow(d time.Duration) time.Duration { return time.Duration(float64(d) * c.Slowness) }

func (c Config) withDefaults() (Config, error) {
	c.Duration = cmp.Or(max(c.Duration, 0), defaultDuration)
	c.Rate = cmp.Or(max(c.Rate, 0), defaultRate)
	c.Slowness = max(c.Slowness, 1)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if len(c.Faults) == 0 {
		c.Faults, _ = Faults()
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, fmt.Errorf("choosing a directory: %w", err)
	}
	return c, nil
}

// Run runs one seed. The report has everything that does not hold; an error means that chaos itself could not do its
// work.
func Run(ctx context.Context, cfg Config) (Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Report{}, err
	}
	began := time.Now()
	report := Report{
		Seed: cfg.Seed, Duration: Seconds(cfg.Duration), Version: cfg.Version, At: began.UTC().Truncate(time.Second), Machine: bench.ThisMachine().String(),
		Faults: map[string]Tally{}, Findings: []string{},
	}
	bounded, cancel := context.WithTimeout(ctx, cfg.Duration+cfg.allow(extraTime))
	defer cancel()
	env, err := build(bounded, cfg)
	if err == nil {
		err = env.execute(bounded, &report)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		env.addFinding(fmt.Sprintf("the run did not end within %s: %v", cfg.Duration+extraTime, err))
		err = nil
	}
	if ctx.Err() != nil {
		err = ctx.Err() // the cause of any other error
	}
	report.conclude(env, time.Since(began))
	if ctx.Err() == nil && (err != nil || report.Verdict == Found) {
		report.Dir = cfg.Dir
	}
	closing, stop := context.WithTimeout(context.WithoutCancel(ctx), cfg.allow(cleanUp))
	defer stop()
	if closeErr := env.close(closing, report.Dir != ""); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("cleaning up: %w", closeErr))
	}
	return report, err
}

// execute publishes all messages, goes through the schedule meanwhile, and proves the result.
func (env *environment) execute(ctx context.Context, r *Report) error {
	publications, err := Publications(env.cfg.Seed, int(env.cfg.Duration.Seconds()*float64(env.cfg.Rate)))
	if err != nil {
		return err
	}
	r.Servers = bench.ServerVersions(ctx, env.super, env.management)
	p := &publisher{db: env.direct, external: external.Publisher{Broker: env.broker}, rate: env.cfg.Rate, addFinding: env.addFinding}
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return p.run(running, publications) })
	g.Go(func() error { return env.injectFaults(running, r) })
	err = g.Wait()
	r.Published, r.Repeated = int(p.confirmed.Load()), int(p.repeated.Load())
	r.Events = len(env.appliedOnce(publications))
	if err != nil {
		return err
	}
	if env.cfg.sabotage != nil {
		if err := env.cfg.sabotage(ctx, env); err != nil {
			return err
		}
	}
	proof, c, err := env.prove(ctx, publications)
	r.Lost, r.Doubled, r.Dead, r.InLanes = c.Lost, c.Doubled, c.Dead, c.InLanes
	r.Audit = auditOf(proof)
	return err
}

// injectFaults goes through the schedule.
func (env *environment) injectFaults(ctx context.Context, r *Report) error {
	for i, step := range Plan(env.cfg.Seed, env.cfg.Duration, env.cfg.Faults) {
		if !clock.Sleep(ctx, step.Pause) {
			return ctx.Err()
		}
		result, err := env.step(ctx, i, step)
		r.add(result)
		if err != nil {
			return err
		}
	}
	return nil
}

// step injects the faults of a step, heals them, and waits for the recovery.
func (env *environment) step(ctx context.Context, i int, step Step) (StepResult, error) {
	s := StepResult{Faults: make([]Injected, len(step.Picks))}
	var g errgroup.Group
	for j, pick := range step.Picks {
		g.Go(func() (err error) {
			s.Faults[j], err = env.fault(ctx, pick)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return s, err
	}
	if only := s.Faults[0]; len(s.Faults) == 1 && only.Skipped != "" {
		return s, fmt.Errorf("injecting %s: %s", only.Fault, only.Skipped)
	}
	took, err := env.recovery(ctx, fmt.Sprintf("probe-%d", i))
	s.Recovery = Seconds(took)
	if ctx.Err() != nil {
		return s, ctx.Err()
	}
	if took > env.cfg.allow(Limit) {
		s.Late = true
		finding := fmt.Sprintf("the recovery from %s took %s", s.names(), took.Round(time.Millisecond))
		if err != nil {
			finding += fmt.Sprintf(" (%v)", err)
		}
		env.addFinding(finding)
	}
	env.cfg.Progress(s.line())
	if err := env.checkRetryQueues(ctx, s.names()); err != nil {
		env.addFinding(fmt.Sprintf("after %s the retry queues could not be checked: %v", s.names(), err))
	}
	return s, nil
}

// fault injects one fault, holds it and heals it.
func (env *environment) fault(ctx context.Context, p Pick) (Injected, error) {
	done := Injected{Fault: p.Fault, Hold: Seconds(p.Hold)}
	if !clock.Sleep(ctx, p.After) {
		return done, ctx.Err()
	}
	injecting, cancel := context.WithTimeout(ctx, env.cfg.allow(injectTimeout))
	heal, err := find(p.Fault).inject(injecting, env, p.Dice)
	cancel()
	if err != nil {
		done.Skipped = err.Error()
	} else {
		clock.Sleep(ctx, p.Hold)
	}
	return done, env.heal(ctx, p.Fault, heal)
}

// heal tries again until the fault is healed. It continues for a moment after the end of ctx, so that nothing stays
// stopped.
func (env *environment) heal(ctx context.Context, name string, heal heal) error {
	limit := time.Now().Add(env.cfg.allow(healTimeout))
	if end, bounded := ctx.Deadline(); bounded && end.Add(env.cfg.allow(lastHeal)).Before(limit) {
		limit = end.Add(env.cfg.allow(lastHeal))
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := clock.Retry(ctx, retryPause, func() error { return heal(ctx) }); err != nil {
		return fmt.Errorf("healing %s: %w", name, err)
	}
	return nil
}

// auditOf is the part of an audit that a report keeps.
func auditOf(a audit.Report) Audit {
	kept := Audit{Verdict: string(a.Verdict), Handled: map[string]int64{}, Logged: a.Counts.Events}
	for _, c := range a.Counts.Consumers {
		kept.Handled[c.Consumer] = c.Handled
		kept.Copies += c.Copies
	}
	for _, c := range a.Checks {
		if c.Repaired != "" {
			kept.Repaired = append(kept.Repaired, c.Repaired)
		}
		for _, f := range c.Findings {
			kept.Findings = append(kept.Findings, c.Name+": "+f.String())
		}
	}
	return kept
}
