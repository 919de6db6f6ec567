package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/deploy/bench"
	"github.com/composerp/composerp/deploy/outsider"
	"github.com/composerp/composerp/exchange/audit"
)

// Config says what to run. Program, Dir and Version are needed.
type Config struct {
	Seed     uint64
	Duration time.Duration // of the schedule; default a minute
	Faults   []Fault       // default all
	Program  string        // composerp itself, run as `composerp up`
	Version  string        // its version, for the results
	Dir      string        // data and logs; deleted after a run without findings
	Rate     int           // sayings a second; default 100
	Slowness float64       // how many times as long as usual everything may take, on a slow machine; default 1
	Log      *slog.Logger  // default: none
	// Environment is added to that of the fleet's processes, of which nothing else is inherited.
	Environment []string
	Progress    func(text string) // told what is being done; may be nil

	// sabotage is called at rest, before the proof: a test breaks something there that the proof must find.
	sabotage func(ctx context.Context, h *house) error
}

const (
	defaultDuration = time.Minute
	defaultRate     = 100
	// overtime is how much longer than its schedule a run may take, whatever hangs.
	overtime = 2 * time.Minute
	// healPatience bounds the healing of a fault: a broker takes a quarter of a minute to start on a busy machine.
	healPatience = 45 * time.Second
	// injectPatience bounds injecting one: an orderly stop takes the broker six seconds.
	injectPatience = 30 * time.Second
	// lastHeal is how long after the end of a run something is still healed.
	lastHeal = 10 * time.Second
	cleanUp  = 30 * time.Second
)

func (c Config) withDefaults() (Config, error) {
	if c.Duration <= 0 {
		c.Duration = defaultDuration
	}
	if len(c.Faults) == 0 {
		c.Faults, _ = Faults()
	}
	if c.Rate <= 0 {
		c.Rate = defaultRate
	}
	if c.Slowness < 1 {
		c.Slowness = 1
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
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

// allow is how long something may take on this machine that takes d at most on a usual one.
func (c Config) allow(d time.Duration) time.Duration { return time.Duration(float64(d) * c.Slowness) }

// Run lives one seed. What does not hold is in the report; an error means that chaos itself could not do its work.
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
	h, err := build(ctx, cfg)
	bounded, cancel := context.WithTimeout(ctx, cfg.Duration+cfg.allow(overtime))
	defer cancel()
	if err == nil {
		err = h.live(bounded, &report)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		h.find(fmt.Sprintf("the run did not come to its end within %s: %v", cfg.Duration+cfg.allow(overtime), err))
		err = nil
	}
	if ctx.Err() != nil {
		err = ctx.Err() // whatever was broken off by it
	}
	report.conclude(h, time.Since(began))
	if ctx.Err() == nil && (err != nil || report.Verdict == Found) {
		report.Dir = cfg.Dir
	}
	closing, stop := context.WithTimeout(context.WithoutCancel(ctx), cfg.allow(cleanUp))
	defer stop()
	if closeErr := h.close(closing, report.Dir != ""); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("cleaning up: %w", closeErr))
	}
	return report, err
}

// live says everything, goes through the schedule meanwhile, and proves.
func (h *house) live(ctx context.Context, r *Report) error {
	sayings, err := Sayings(h.cfg.Seed, int(h.cfg.Duration.Seconds()*float64(h.cfg.Rate)))
	if err != nil {
		return err
	}
	speaker := &speaker{db: h.direct, line: outsider.Line{Broker: h.broker}, rate: h.cfg.Rate, found: h.find}
	g, living := errgroup.WithContext(ctx)
	g.Go(func() error { return speaker.run(living, sayings) })
	g.Go(func() error { return h.suffer(living, r) })
	err = g.Wait()
	r.Said, r.Repeated = int(speaker.said.Load()), int(speaker.repeated.Load())
	r.Events = len(h.ledgered(sayings))
	if err != nil {
		return err
	}
	if h.cfg.sabotage != nil {
		if err := h.cfg.sabotage(ctx, h); err != nil {
			return err
		}
	}
	proof, c, err := h.prove(ctx, sayings)
	r.Lost, r.Doubled, r.Dead = c.Lost, c.Doubled, c.Dead
	r.Audit = auditOf(proof)
	return err
}

// suffer goes through the schedule.
func (h *house) suffer(ctx context.Context, r *Report) error {
	for i, step := range Plan(h.cfg.Seed, h.cfg.Duration, h.cfg.Faults) {
		if !sleep(ctx, step.Pause) {
			return ctx.Err()
		}
		suffered, err := h.step(ctx, i, step)
		r.add(suffered)
		if err != nil {
			return err
		}
	}
	return nil
}

// step injects the faults of a step, heals them, and waits for the recovery.
func (h *house) step(ctx context.Context, i int, step Step) (Suffered, error) {
	s := Suffered{Faults: make([]Injected, len(step.Picks))}
	var g errgroup.Group
	for j, pick := range step.Picks {
		g.Go(func() (err error) {
			s.Faults[j], err = h.fault(ctx, pick)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return s, err
	}
	if only := s.Faults[0]; len(s.Faults) == 1 && only.Skipped != "" {
		return s, fmt.Errorf("injecting %s: %s", only.Fault, only.Skipped)
	}
	took, err := h.recovery(ctx, fmt.Sprintf("probe-%d", i))
	s.Recovery = Seconds(took)
	if ctx.Err() != nil {
		return s, ctx.Err()
	}
	if took > h.cfg.allow(Limit) {
		s.Late = true
		h.find(fmt.Sprintf("the recovery from %s took %s (%v)", s.names(), took.Round(time.Millisecond), err))
	}
	h.cfg.Progress(s.line())
	if err := h.ladders(ctx, s.names()); err != nil {
		h.find(fmt.Sprintf("after %s the ladders could not be looked at: %v", s.names(), err))
	}
	return s, nil
}

// fault injects one fault, holds it and heals it.
func (h *house) fault(ctx context.Context, p Pick) (Injected, error) {
	done := Injected{Fault: p.Fault, Hold: Seconds(p.Hold)}
	if !sleep(ctx, p.After) {
		return done, ctx.Err()
	}
	injecting, cancel := context.WithTimeout(ctx, h.cfg.allow(injectPatience))
	heal, err := find(p.Fault).inject(injecting, h, p.Dice)
	cancel()
	if err != nil {
		done.Skipped = err.Error()
	} else {
		sleep(ctx, p.Hold)
	}
	return done, h.heal(ctx, p.Fault, heal)
}

// heal heals until it has worked. It goes on after the end of ctx for a moment, so that nothing that is stopped stays so.
func (h *house) heal(ctx context.Context, name string, heal heal) error {
	limit := time.Now().Add(h.cfg.allow(healPatience))
	if end, bounded := ctx.Deadline(); bounded && end.Add(h.cfg.allow(lastHeal)).Before(limit) {
		limit = end.Add(h.cfg.allow(lastHeal))
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), limit)
	defer cancel()
	for {
		err := heal(ctx)
		if err == nil {
			return nil
		}
		if !sleep(ctx, sayingPause) {
			return fmt.Errorf("healing %s: %w", name, err)
		}
	}
}

// auditOf is what a report keeps of an audit.
func auditOf(a audit.Report) Audit {
	kept := Audit{Verdict: string(a.Verdict), Handled: map[string]int64{}, Logged: a.Counts.Events}
	for _, c := range a.Counts.Consumers {
		kept.Handled[c.Consumer] = c.Handled
		kept.Copies += c.Copies
	}
	for _, c := range a.Checks {
		if c.Mended != "" {
			kept.Mended = append(kept.Mended, c.Mended)
		}
		for _, f := range c.Findings {
			kept.Findings = append(kept.Findings, c.Name+": "+f.String())
		}
	}
	return kept
}
