package pools

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/runtime/autoscaler"
	"github.com/composerp/composerp/workers/runtime/autoscaler/simulation"
	"github.com/composerp/composerp/workers/runtime/scaler"
	"github.com/composerp/composerp/workers/worker"
)

const (
	flagFrom   = "from"
	flagTo     = "to"
	flagPolicy = "policy"
	// longestBacktest bounds what is held in memory: ten numbers a second.
	longestBacktest = 31 * 24 * time.Hour
	// backtestPrefetch is how many batches a slot prefetches, as set-based workers do.
	backtestPrefetch = 5
)

func backtestCommand() *cli.Command {
	return &cli.Command{
		Name: "backtest", Usage: "show what the autoscaler would have done with the log's own arrivals", ArgsUsage: "QUEUE",
		Description: "Events come when they were logged, and slots work as fast as the worker's batches did. Beside it: the numbers that\n" +
			"really were desired, and a slot for each 100 ready messages. A FILE has min, max and drain, as YAML.",
		Flags: settings.DatabaseFlags(
			&cli.StringFlag{Name: flagFrom, Usage: "begin at this time; default: an hour before --to"},
			&cli.StringFlag{Name: flagTo, Usage: "end at this time; default: now"},
			&cli.StringFlag{Name: flagPolicy, Usage: "bounds and target of `FILE` in place of the pool's"},
		),
		Action: settings.OnSchema("scale", 1, backtestAsked, backtest),
	}
}

type backtestQuestion struct {
	worker   worker.Worker
	from, to time.Time
	policy   *policyFile
}

// policyFile is the file of --policy.
type policyFile struct {
	Min   int    `yaml:"min"`
	Max   int    `yaml:"max"`
	Drain string `yaml:"drain"`
	drain time.Duration
}

func backtestAsked(cctx *cli.Context) (q backtestQuestion, err error) {
	if q.worker, err = queueNamed(cctx); err != nil {
		return q, err
	}
	if q.to, err = terminal.ReadTime(flagTo, cctx.String(flagTo), time.Now()); err != nil {
		return q, err
	}
	if q.from, err = terminal.ReadTime(flagFrom, cctx.String(flagFrom), q.to.Add(-time.Hour)); err != nil {
		return q, err
	}
	if length := q.to.Sub(q.from); length <= 0 || length > longestBacktest {
		return q, exit.Usage("--from %s is not within 31 days before --to %s", q.from.Format(time.RFC3339), q.to.Format(time.RFC3339))
	}
	if path := cctx.String(flagPolicy); path != "" {
		q.policy, err = readPolicy(path)
	}
	return q, err
}

func readPolicy(path string) (*policyFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, exit.Usage("--%s: %w", flagPolicy, err)
	}
	p := policyFile{Min: 1, Max: 8, Drain: "1m"}
	if err := yaml.UnmarshalWithOptions(text, &p, yaml.Strict()); err != nil {
		return nil, exit.Usage("--%s %s: want min, max and drain, such as \"min: 1\"", flagPolicy, path)
	}
	if p.drain, err = time.ParseDuration(p.Drain); err != nil || p.drain <= 0 || p.Min < 0 || p.Max < max(1, p.Min) {
		return nil, exit.Usage("--%s %s: want 0 ≤ min ≤ max, and a drain such as 60s", flagPolicy, path)
	}
	return &p, nil
}

// backtested is one rule's line.
type backtested struct {
	Rule string `json:"rule"`
	simulation.Result
	Wait50  float64 `json:"wait50Seconds"`
	Wait99  float64 `json:"wait99Seconds"`
	WaitMax float64 `json:"waitMaxSeconds"`
}

func backtest(cctx *cli.Context, db *store.DB, q backtestQuestion) error {
	s, _, err := scaling.Read(cctx.Context, db)
	if err != nil {
		return err
	}
	model, err := modelOf(cctx, db, q.worker)
	if err != nil {
		return err
	}
	var types []string
	for _, t := range q.worker.Types() {
		types = append(types, string(t))
	}
	arrivals, err := eventlog.Arrivals(cctx.Context, db, types, q.from, q.to, simulation.Bin)
	if err != nil {
		return err
	}
	ran, first, err := ranRule(cctx, db, q)
	if err != nil {
		return err
	}
	policy := scaler.PolicyOf(s.Pool(q.worker.Name()), model.Batch, 0)
	policy.Room = 0
	if q.policy != nil {
		policy.Min, policy.Max, policy.Drain = q.policy.Min, q.policy.Max, q.policy.drain
	} else if s.Pool(q.worker.Name()).Max == nil {
		policy.Min, policy.Max, policy.Drain = 1, 8, autoscaler.DefaultDrain
	}
	dropping := model
	dropping.Kill = true
	rows := []backtested{
		lineOf(fmt.Sprintf("autoscaler, %d to %d", policy.Min, policy.Max), simulation.Run(model, max(1, policy.Min), simulation.Auto(policy), arrivals)),
		lineOf("as it was", simulation.Run(model, first, ran, arrivals)),
		lineOf("ready / 100", simulation.Run(dropping, max(1, policy.Min), simulation.ReadyBy(100, policy.Min, policy.Max), arrivals)),
	}
	return terminal.Show(cctx, rows, func(w io.Writer) {
		terminal.Table(w, rows, []any{"RULE", "EVENTS", "LEFT", "SLOT-HOURS", "WAIT", "99 %", "MOST", "SLOTS", "MOVES", "REVERSALS", "AGAIN"}, func(r *backtested) []any {
			seconds := func(s float64) string { return fmt.Sprintf("%.1fs", s) }
			return []any{r.Rule, r.Messages, r.Left, fmt.Sprintf("%.2f", r.SlotHours), seconds(r.Wait50), seconds(r.Wait99), seconds(r.WaitMax), r.Peak, r.Moves, r.Reversals, r.Again}
		})
	})
}

func lineOf(rule string, r simulation.Result) backtested {
	return backtested{rule, r, r.Wait50.Seconds(), r.Wait99.Seconds(), r.WaitMax.Seconds()}
}

// modelOf is how the worker's slots work, by the curve of its batches.
func modelOf(cctx *cli.Context, db *store.DB, w worker.Worker) (m simulation.Model, err error) {
	decisions, err := scaling.Decisions(cctx.Context, db)
	if err != nil {
		return m, err
	}
	var curve autoscaler.Curve
	if d, found := decisions[w.Name()]; found {
		if err := json.Unmarshal(d.Curve, &curve); err != nil {
			return m, fmt.Errorf("reading the curve of %s: %w", w.Name(), err)
		}
	}
	if curve.Weight == 0 {
		if curve, err = measuredCurve(cctx, db, w); err != nil {
			return m, err
		}
	}
	fixed, each, known := curve.Fit()
	if !known {
		return m, fmt.Errorf("no batch of %s has been measured: let a node run it first", w.Name())
	}
	batch := w.FullBatch()
	return simulation.Model{Fixed: fixed, Each: each, Batch: batch, Prefetch: backtestPrefetch * batch, Start: time.Second}, nil
}

// measuredCurve is that of all batches that living nodes have handled.
func measuredCurve(cctx *cli.Context, db *store.DB, w worker.Worker) (c autoscaler.Curve, err error) {
	m, err := scaling.Measure(cctx.Context, db)
	for _, work := range m.Work {
		if work.Queue == w.Name() {
			c.Merge(scaler.CurveOf(work))
		}
	}
	return c, err
}

// ranRule is the number that was desired at each time.
func ranRule(cctx *cli.Context, db *store.DB, q backtestQuestion) (rule simulation.Rule, first int, err error) {
	changes, err := scaling.DesiredChanges(cctx.Context, db, q.worker.Name())
	if err != nil {
		return nil, 0, err
	}
	slots := func(at time.Time) int {
		n := 1
		for _, c := range changes {
			if !c.At.After(at) && c.After != nil {
				n = *c.After
			}
		}
		return n
	}
	return func(s simulation.State) int { return slots(q.from.Add(s.At.Sub(time.Unix(0, 0)))) }, slots(q.from), nil
}
