package pools

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/capacity"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/runtime/scaler"
)

const (
	flagFor        = "for"
	flagMaxPerNode = "max-per-node"
	flagOn         = "on"
	maxDesired     = 1000
	byFlags        = "flags"
)

// ScaleCommand is the command `scale`.
func ScaleCommand() *cli.Command {
	return &cli.Command{
		Name: "scale", Usage: "set how many slots a worker has in the whole fleet", ArgsUsage: "WORKER=N...",
		Description: "The slots are spread over the processes that run the worker, and start and drain while these go on: what is in\n" +
			"hand is finished, nothing is lost or handled twice. WORKER=flags gives the number back to the --slots of each\n" +
			"process. A process takes at most --max-slots; `composerp worker list` says under WHY what has no place.",
		Flags: actFlags(
			&cli.DurationFlag{Name: flagFor, Usage: "for this long; then the number before counts again"},
			&cli.IntFlag{Name: flagMaxPerNode, Usage: "at most this many on one node; 0: no limit"},
			&cli.StringFlag{Name: flagOn, Usage: "only on nodes with these labels, separated by commas (see --labels of `worker run`); any: on all"},
			waitFlag(),
			&cli.BoolFlag{Name: settings.FlagDryRun, Usage: "show what would change, and what would have no place"},
		),
		Action: settings.OnSchema("scale", 1, changesAsked, scale),
	}
}

// changesAsked reads WORKER=N... and the flags that go with each.
func changesAsked(cctx *cli.Context) ([]scaling.Change, error) {
	if cctx.NArg() == 0 {
		return nil, exit.Usage("say which worker and how many slots, such as `composerp scale ledger=4`")
	}
	var changes []scaling.Change
	for _, arg := range cctx.Args().Slice() {
		c, err := ParseChange(arg)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(changes, func(other scaling.Change) bool { return other.Queue == c.Queue }) {
			return nil, exit.Usage("%s is there twice", c.Queue)
		}
		c.For = cctx.Duration(flagFor)
		if cctx.IsSet(flagMaxPerNode) {
			most := cctx.Int(flagMaxPerNode)
			if most < 0 || most > maxDesired {
				return nil, exit.Usage("--%s %d: want 0 to %d", flagMaxPerNode, most, maxDesired)
			}
			c.MaxPerNode = &most
		}
		if on := cctx.String(flagOn); on != "" {
			if on == "any" {
				on = ""
			}
			if c.Labels, err = capacity.ParseLabels(on); err != nil {
				return nil, exit.Usage("--%s: %w", flagOn, err)
			}
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// ParseChange reads WORKER=N, or WORKER=flags.
func ParseChange(arg string) (c scaling.Change, err error) {
	name, number, ok := strings.Cut(arg, "=")
	if !ok {
		return c, exit.Usage("%q: want WORKER=N, such as ledger=4", arg)
	}
	w, err := known(strings.TrimPrefix(name, "composerp."))
	if err != nil {
		return c, err
	}
	c.Queue = w.Name()
	if number == byFlags {
		return c, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > maxDesired {
		return c, exit.Usage("%q: want a number of 0 to %d, or %q for the --slots of each process", arg, maxDesired, byFlags)
	}
	c.Desired = &n
	return c, nil
}

// scaled is one line of `scale`. Before and After are nil where the flags count.
type scaled struct {
	Queue  string     `json:"queue"`
	Before *int       `json:"before"`
	After  *int       `json:"after"`
	Until  *time.Time `json:"until,omitempty"`
	Placed *int       `json:"placed,omitempty"` // slots that have a node, where that is known
	Why    string     `json:"why,omitempty"`
	DryRun bool       `json:"dryRun,omitempty"`
}

func scale(cctx *cli.Context, db *store.DB, changes []scaling.Change) error {
	rows := make([]scaled, len(changes))
	s, _, err := scaling.Read(cctx.Context, db)
	if err != nil {
		return err
	}
	var queues []string
	for i, c := range changes {
		queues = append(queues, c.Queue)
		rows[i] = scaled{Queue: c.Queue, Before: s.Pool(c.Queue).Desired, After: c.Desired, DryRun: cctx.Bool(settings.FlagDryRun)}
	}
	var late error
	if cctx.Bool(settings.FlagDryRun) {
		s = supposing(s, changes)
	} else {
		before, after, err := scaling.Scale(cctx.Context, db, settings.By(cctx), changes)
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i].Before, rows[i].Until = before[i].Desired, after[i].Until
		}
		if s, late, err = settle(cctx, db, queues); err != nil {
			return err
		}
	}
	lacking := false
	for i := range rows {
		rows[i].fill(cctx, s)
		lacking = lacking || rows[i].lacks()
	}
	if err := showScaled(cctx, rows); err != nil {
		return err
	}
	if late == nil && lacking && !cctx.Bool(settings.FlagDryRun) {
		late = exit.Findings("not all slots have a place")
	}
	return late
}

// lacks tells whether slots are known to have no place.
func (r scaled) lacks() bool { return r.After != nil && r.Placed != nil && *r.Placed < *r.After }

// supposing is the state after changes that are not made.
func supposing(s scaling.State, changes []scaling.Change) scaling.State {
	for _, c := range changes {
		p := c.Of(s.Pool(c.Queue))
		s.Pools = append(slices.DeleteFunc(slices.Clone(s.Pools), func(other scaling.Pool) bool { return other.Queue == c.Queue }), p)
	}
	s.Assigned = scaler.Decide(s)
	for i := range s.Pools {
		s.Pools[i].Assigned = s.Pools[i].Revision
	}
	return s
}

// fill adds what is known of the slots after the change.
func (r *scaled) fill(cctx *cli.Context, s scaling.State) {
	p := s.Pool(r.Queue)
	if r.After != nil && (r.DryRun || cctx.Bool(flagWait)) {
		placed := s.Assigned.Of(r.Queue)
		r.Placed, r.Why = &placed, scaler.Why(s, r.Queue)
	}
	if p.Paused {
		r.Why = "it is paused; `composerp worker resume " + r.Queue + "` lets it run"
	}
	if r.After != nil && *r.After == 0 {
		r.Why = "its messages wait in the queue"
	}
}

func showScaled(cctx *cli.Context, rows []scaled) error {
	return terminal.Show(cctx, rows, func(w io.Writer) {
		terminal.Table(w, rows, []any{"QUEUE", "BEFORE", "AFTER", "UNTIL", "PLACED", "WHY"}, func(r *scaled) []any {
			until := "-"
			if r.Until != nil {
				until = terminal.Moment(*r.Until)
			}
			return []any{r.Queue, SlotsOrFlags(r.Before), SlotsOrFlags(r.After), until, terminal.NumberOr(r.Placed), r.Why}
		})
	})
}

// SlotsOrFlags is a desired number of slots; nil is what the flags say.
func SlotsOrFlags(n *int) string {
	if n == nil {
		return byFlags
	}
	return fmt.Sprint(*n)
}
