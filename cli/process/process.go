// Package process has the command that shows what goes on for days: instances of processes, their steps and timers.
package process

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	kept "github.com/composerp/composerp/store/process"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker/process"
)

const (
	flagProcess = "process"
	flagState   = "state"
	flagAll     = "all"
	flagStuck   = "stuck"
	flagLimit   = "limit"
)

// Command is the command `process`.
func Command() *cli.Command {
	tenant := &cli.StringFlag{Name: settings.FlagTenant, Usage: "this tenant only"}
	of := &cli.StringFlag{Name: flagProcess, Usage: "this process only: " + strings.Join(names(), ", ")}
	return &cli.Command{
		Name: "process", Usage: "what goes on for days, such as the approval of an order: states, steps and timers",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the instances that go on, the one that moved last first",
				Description: "STUCK says why one does not go on as it should: its timer fails, or is overdue because its worker does not run.",
				Flags: settings.DatabaseFlags(
					tenant, of,
					&cli.StringFlag{Name: flagState, Usage: "only those in this state"},
					&cli.BoolFlag{Name: flagAll, Usage: "also those that have ended"},
					&cli.BoolFlag{Name: flagStuck, Usage: "only those that are stuck; exits 2 when there are any"},
					&cli.IntFlag{Name: flagLimit, Value: 20, Usage: "the most to list; 0: all"},
				),
				Action: settings.OnSchema("process", 1, filtered, list),
			},
			{
				Name: "show", Usage: "show the steps of one, its timers, and what is left", ArgsUsage: "ID",
				Description: "ID is the id of what the process is about, such as an order; an order's number does too.",
				Flags:       settings.DatabaseFlags(tenant, of),
				Action:      settings.OnSchema("process", 1, named, show),
			},
			{
				Name: "retry", Usage: "have a timer that fails try again at once", ArgsUsage: "ID",
				Description: "A timer that fails tries again by itself, ever more seldom up to an hour.",
				Flags: settings.DatabaseFlags(tenant, of, &cli.BoolFlag{Name: settings.FlagDryRun, Usage: "only say which timers would try again"},
					settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator)),
				Action: settings.OnSchema("process", 1, named, retry),
			},
			{
				Name: "diagram", Usage: "draw a process's table as a Mermaid state diagram", ArgsUsage: "NAME",
				Description: "The processes are " + strings.Join(names(), ", ") + ".",
				Action:      diagram,
			},
		},
	}
}

func names() (all []string) {
	for _, p := range workers.Processes() {
		all = append(all, p.Name)
	}
	return all
}

// known is the process of a name; nil where this program has none.
func known(name string) *process.Process {
	if i := slices.IndexFunc(workers.Processes(), func(p *process.Process) bool { return p.Name == name }); i >= 0 {
		return workers.Processes()[i]
	}
	return nil
}

func unknown(name string) error {
	return exit.Usage("there is no process %q; %sthere are %s", name, terminal.Suggest(name, names()), strings.Join(names(), ", "))
}

func filtered(cctx *cli.Context) (f kept.Filter, err error) {
	if cctx.NArg() > 0 {
		return f, exit.Usage("`process list` takes no argument; `composerp process show %s` shows one", terminal.ShellWord(cctx.Args().First()))
	}
	f = kept.Filter{
		Tenant: cctx.String(settings.FlagTenant), Process: cctx.String(flagProcess), State: cctx.String(flagState), All: cctx.Bool(flagAll), Stuck: cctx.Bool(flagStuck),
	}
	if f.Process != "" && known(f.Process) == nil {
		return f, unknown(f.Process)
	}
	_, err = terminal.Limit(cctx)
	return f, err
}

func list(cctx *cli.Context, db *store.DB, f kept.Filter) error {
	found, err := kept.List(cctx.Context, db, f, cctx.Int(flagLimit))
	if err != nil {
		return err
	}
	err = terminal.ShowRows(cctx, found, []any{"PROCESS", "TENANT", "ID", "STATE", "SINCE", "NEXT TIMER", "STUCK"}, func(l *kept.Listed) []any {
		return []any{l.Process, l.Tenant, l.Correlation, state(l.State), terminal.Moment(l.ChangedAt), next(l), wording.OneLine(cmp.Or(l.Stuck, "-"))}
	})
	if err == nil && f.Stuck && len(found) > 0 {
		err = exit.Findings("processes are stuck")
	}
	return err
}

func state(s string) string { return cmp.Or(s, "(not begun)") }

func next(l *kept.Listed) string {
	if l.NextDue == nil {
		return "-"
	}
	return l.NextTimer + " " + terminal.Moment(*l.NextDue)
}

func named(cctx *cli.Context) (string, error) {
	if cctx.NArg() != 1 {
		return "", exit.Usage("name one: composerp process %s ID; `composerp process list` has the ids", cctx.Command.Name)
	}
	if name := cctx.String(flagProcess); name != "" && known(name) == nil {
		return "", unknown(name)
	}
	return cctx.Args().First(), nil
}

// one is the instance that is named.
func one(cctx *cli.Context, db *store.DB, name string) (kept.Listed, error) {
	found, err := kept.Find(cctx.Context, db, name, cctx.String(settings.FlagTenant), cctx.String(flagProcess))
	switch {
	case err != nil:
		return kept.Listed{}, err
	case len(found) == 0:
		return kept.Listed{}, exit.Usage("no process is about %q; `composerp process list --all` lists them. An order that the policy approves at once needs none", name)
	case len(found) > 1:
		return kept.Listed{}, exit.Usage("%d processes are about %q, of %s: say which by --tenant or --process", len(found), name, found[0].Tenant+" and "+found[1].Tenant)
	}
	return found[0], nil
}

// shown is an instance with all that is known of it.
type shown struct {
	kept.Listed
	History   []kept.Taken    `json:"history"`
	Timers    []kept.SetTimer `json:"timers"`
	Early     []kept.Waiting  `json:"early"`
	Remaining []string        `json:"remaining"` // the states that it can still come to
}

func show(cctx *cli.Context, db *store.DB, name string) error {
	l, err := one(cctx, db, name)
	if err != nil {
		return err
	}
	x := shown{Listed: l, Remaining: []string{}}
	if x.History, err = kept.Steps(cctx.Context, db, l.Key); err != nil {
		return err
	}
	if x.Timers, err = kept.Timers(cctx.Context, db, l.Key); err != nil {
		return err
	}
	if x.Early, err = kept.Early(cctx.Context, db, l.Key); err != nil {
		return err
	}
	if p := known(l.Process); p != nil {
		x.Remaining = append(x.Remaining, p.Remaining(l.State)...)
	}
	return terminal.Show(cctx, &x, func(w io.Writer) { table(w, &x) })
}

func table(w io.Writer, x *shown) {
	terminal.Row(w, "process", x.Process)
	terminal.Row(w, "about", x.Correlation)
	terminal.Row(w, "tenant", x.Tenant)
	terminal.Row(w, "state", state(x.State))
	if len(x.Remaining) > 0 {
		terminal.Row(w, "can come to", strings.Join(x.Remaining, ", "))
	}
	if x.Stuck != "" {
		terminal.Row(w, "stuck", wording.OneLine(x.Stuck))
	}
	fmt.Fprintln(w)
	terminal.Table(w, x.History, []any{"TAKEN", "BUSINESS TIME", "ON", "FROM", "TO", "BY", "NOTE"}, func(t *kept.Taken) []any {
		to := t.To
		if t.Late {
			to = "(too late)"
		}
		return []any{terminal.Moment(t.TakenAt), terminal.Moment(t.At), t.Input, cmp.Or(t.From, "-"), to, cmp.Or(t.By, "-"), wording.OneLine(cmp.Or(t.Note, "-"))}
	})
	if len(x.Timers) > 0 {
		fmt.Fprintln(w)
		terminal.Table(w, x.Timers, []any{"TIMER", "DUE", "FAILED"}, func(t *kept.SetTimer) []any {
			return []any{t.Name, terminal.Moment(t.DueAt), wording.Count(int64(t.Failures), "time")}
		})
	}
	if len(x.Early) > 0 {
		fmt.Fprintln(w)
		terminal.Table(w, x.Early, []any{"TOO EARLY", "SINCE", "ID"}, func(e *kept.Waiting) []any { return []any{e.Input, terminal.Moment(e.KeptAt), e.InputID} })
	}
}

func retry(cctx *cli.Context, db *store.DB, name string) error {
	l, err := one(cctx, db, name)
	if err != nil {
		return err
	}
	timers, err := kept.Timers(cctx.Context, db, l.Key)
	if err != nil {
		return err
	}
	timers = slices.DeleteFunc(timers, func(t kept.SetTimer) bool { return t.Failures == 0 })
	if len(timers) == 0 {
		return exit.Usage("no timer of %s fails: there is nothing to try again", name)
	}
	if !cctx.Bool(settings.FlagDryRun) {
		err = db.InTx(cctx.Context, func(tx store.Tx) error {
			if _, err := kept.Retry(cctx.Context, tx, l.Key); err != nil {
				return err
			}
			return operatorlog.Note(cctx.Context, tx, settings.By(cctx), "process retry", l.Process+" "+l.Correlation, map[string]any{"stuck": l.Stuck}, map[string]any{"tenant": l.Tenant})
		})
		if err != nil {
			return err
		}
	}
	return terminal.ShowRows(cctx, timers, []any{"TIMER", "FAILED"}, func(t *kept.SetTimer) []any { return []any{t.Name, wording.Count(int64(t.Failures), "time")} })
}

func diagram(cctx *cli.Context) error {
	if cctx.NArg() != 1 {
		return exit.Usage("name one process: %s", strings.Join(names(), ", "))
	}
	p := known(cctx.Args().First())
	if p == nil {
		return unknown(cctx.Args().First())
	}
	_, err := fmt.Fprint(cctx.App.Writer, p.Diagram())
	return err
}
