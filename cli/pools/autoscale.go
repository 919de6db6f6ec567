package pools

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/runtime/autoscaler"
	"github.com/composerp/composerp/workers/worker"
)

const (
	flagMin   = "min"
	flagMax   = "max"
	flagDrain = "drain"
)

// AutoscaleCommand is the command `autoscale`.
func AutoscaleCommand() *cli.Command {
	return &cli.Command{
		Name: "autoscale", Usage: "let the fleet decide how many slots a worker has",
		Subcommands: []*cli.Command{
			{
				Name: "set", Usage: "scale a worker between two numbers, by what its slots measure", ArgsUsage: "QUEUE",
				Description: "The leader decides every 5 seconds. What is not given stays; a new pool has 1 to 8 slots and a minute. --min 0 lets the\n" +
					"queue sleep without a slot: the leader asks the broker for its depth every 5 seconds, and the first message wakes it.\n" +
					"`composerp scale QUEUE=N` ends it, with --for for a while.",
				Flags: actFlags(
					&cli.IntFlag{Name: flagMin, Usage: "least slots"},
					&cli.IntFlag{Name: flagMax, Usage: "most slots"},
					&cli.DurationFlag{Name: flagDrain, Usage: "the time in which a backlog is to be worked off"},
				),
				Action: settings.OnSchema("scale", 1, autoAsked, autoscaleSet),
			},
			{
				Name: "off", Usage: "leave a worker the slots it has", ArgsUsage: "QUEUE",
				Flags: actFlags(), Action: settings.OnSchema("scale", 1, queueNamed, autoscaleOff),
			},
			{
				Name: "explain", Usage: "show the numbers of the last decision, what bounded it, and when the next move may come", ArgsUsage: "QUEUE",
				Flags: settings.DatabaseFlags(), Action: settings.OnSchema("scale", 1, queueNamed, autoscaleExplain),
			},
			backtestCommand(),
		},
	}
}

func autoAsked(cctx *cli.Context) (c scaling.AutoChange, err error) {
	w, err := queueNamed(cctx)
	if err != nil {
		return c, err
	}
	c.Queue = w.Name()
	for name, into := range map[string]**int{flagMin: &c.Min, flagMax: &c.Max} {
		if !cctx.IsSet(name) {
			continue
		}
		n := cctx.Int(name)
		if n < 0 || n > maxDesired || name == flagMax && n == 0 {
			return c, exit.Usage("--%s %d: want a number up to %d", name, n, maxDesired)
		}
		*into = &n
	}
	if cctx.IsSet(flagDrain) {
		drain := cctx.Duration(flagDrain)
		c.Drain = &drain
	}
	return c, nil
}

// autoPool is a pool as `autoscale set` and `autoscale off` show it.
type autoPool struct {
	Queue   string  `json:"queue"`
	Mode    string  `json:"mode"`
	Desired *int    `json:"desired"`
	Min     int     `json:"min"`
	Max     *int    `json:"max"`
	Drain   float64 `json:"drainSeconds"`
}

func autoscaleSet(cctx *cli.Context, db *store.DB, c scaling.AutoChange) error {
	is, err := scaling.SetAuto(cctx.Context, db, settings.By(cctx), c)
	if errors.Is(err, scaling.ErrBounds) {
		return exit.Usage("--min %d is above --max %d, and nothing was changed", is.Min, *is.Max)
	}
	if err != nil {
		return err
	}
	return showAuto(cctx, is)
}

func autoscaleOff(cctx *cli.Context, db *store.DB, w worker.Worker) error {
	ended, is, err := scaling.EndAuto(cctx.Context, db, settings.By(cctx), w.Name())
	if err != nil {
		return err
	}
	if !ended {
		terminal.Say(cctx, "nothing changes: %s is not in mode auto", w.Name())
	}
	return showAuto(cctx, is)
}

func showAuto(cctx *cli.Context, p scaling.Pool) error {
	row := []autoPool{{Queue: p.Queue, Mode: p.Mode, Desired: p.Desired, Min: p.Min, Max: p.Max, Drain: p.DrainSeconds}}
	return terminal.Show(cctx, row[0], func(w io.Writer) {
		terminal.Table(w, row, []any{"QUEUE", "MODE", "DESIRED", "MIN", "MAX", "DRAIN"}, func(r *autoPool) []any {
			return []any{r.Queue, r.Mode, SlotsOrFlags(r.Desired), r.Min, terminal.NumberOr(r.Max), length(r.Drain)}
		})
	})
}

// explanation is what `autoscale explain` shows.
type explanation struct {
	Pool     autoPool            `json:"pool"`
	Decision autoscaler.Decision `json:"decision"`
	Curve    fitted              `json:"curve"`
	Stands   string              `json:"stands"` // why no decision is made now
}

// fitted is the line through a worker's batches: seconds of a batch of n messages are Fixed + Each·n.
type fitted struct {
	Fixed   float64 `json:"fixedSeconds"`
	Each    float64 `json:"eachSeconds"`
	Batches float64 `json:"batches"` // their weight: newer ones count more
}

func autoscaleExplain(cctx *cli.Context, db *store.DB, w worker.Worker) error {
	s, _, err := scaling.Read(cctx.Context, db)
	if err != nil {
		return err
	}
	decisions, err := scaling.Decisions(cctx.Context, db)
	if err != nil {
		return err
	}
	p := s.Pool(w.Name())
	last, found := decisions[w.Name()]
	if !found {
		if p.Mode == scaling.Auto {
			return fmt.Errorf("nothing is decided yet for %s: the leader decides every 5 seconds, once a node runs", w.Name())
		}
		return fmt.Errorf("%s is not in mode auto; `composerp autoscale set %s` lets the fleet decide", w.Name(), w.Name())
	}
	e := explanation{Pool: autoPool{p.Queue, p.Mode, p.Desired, p.Min, p.Max, p.DrainSeconds}}
	var curve autoscaler.Curve
	if err := errors.Join(json.Unmarshal(last.Decision, &e.Decision), json.Unmarshal(last.Curve, &curve)); err != nil {
		return fmt.Errorf("reading the decision for %s: %w", w.Name(), err)
	}
	e.Curve.Fixed, e.Curve.Each, _ = curve.Fit()
	e.Curve.Batches = curve.Weight
	switch {
	case p.Mode != scaling.Auto:
		e.Stands = "it is not in mode auto any more"
	case p.Paused:
		e.Stands = "it is paused by " + p.UpdatedBy
	case p.Until != nil:
		e.Stands = "`scale --for` counts until " + terminal.Moment(*p.Until)
	}
	return terminal.Show(cctx, e, func(out io.Writer) { e.write(out) })
}

func (e explanation) write(out io.Writer) {
	d := e.Decision
	row := func(name, format string, args ...any) { terminal.Row(out, name, fmt.Sprintf(format, args...)) }
	row("queue", "%s, mode %s, %d to %s slots", e.Pool.Queue, e.Pool.Mode, e.Pool.Min, terminal.NumberOr(e.Pool.Max))
	if e.Stands != "" {
		row("stands", "%s; what follows is the last decision", e.Stands)
	}
	row("decided", "%s", terminal.Moment(d.At))
	row("arrivals", "%.1f messages a second, over some 30 s", d.Arrivals)
	row("backlog", "%d messages, ready and in hand; to be worked off within %s", d.Depth, length(d.Drain))
	if d.Rate == 0 {
		row("a slot does", "not known: no batch has been measured")
	} else {
		row("a slot does", "%.1f messages a second in full batches: a batch of n takes %.1f ms + n × %.3f ms", d.Rate, e.Curve.Fixed*1000, e.Curve.Each*1000)
		row("wanted", "⌈(%.1f / %.1f + %d / %.0f) / %.1f⌉ = %d slots; at most %d within two minutes",
			d.Arrivals, autoscaler.Utilization, d.Depth, d.Drain, d.Rate, d.Wanted, d.Peak)
	}
	row("decision", "%d slots, from %d", d.Desired, d.From)
	if d.Gain != 0 {
		row("last step up", "brought %.0f %% of what it should", d.Gain*100)
	}
	if d.Hold != autoscaler.NoHold {
		row("held by", "%s", d.Hold)
	}
	if d.Bound != autoscaler.NoBound {
		row("bounded by", "%s", d.Bound)
	}
	row("next move", "%s", nextMove(d))
}

func nextMove(d autoscaler.Decision) string {
	switch {
	case d.Wanted == d.Desired, d.Bound == autoscaler.ByMin, d.Bound == autoscaler.ByMax, d.Bound == autoscaler.ByLanes:
		return "none is wanted"
	case d.NextMove <= 0:
		return "with the next decision"
	}
	return "in " + (time.Duration(d.NextMove) * time.Second).String() + " at the earliest"
}
