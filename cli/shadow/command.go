// Package shadow has the command shadow: what this program's version of a worker would do differently.
package shadow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/shadow"
	"github.com/composerp/composerp/workers/worker"
)

const (
	flagFor    = "for"
	flagEvents = "events"
	flagWindow = "window"
	flagLimit  = "limit"
)

// Command is the command `shadow`.
func Command() *cli.Command {
	return &cli.Command{
		Name:      "shadow",
		Usage:     "have this program's version of a worker handle what the live one handles, roll it back, and report what differs",
		ArgsUsage: "WORKER",
		Description: "Run it from the new program beside a fleet of the old one, before you deploy. It copies the worker's tables, lets the\n" +
			"live worker go on for a window, handles the same batches on the copies, and compares the emitted events field by field\n" +
			"and the rows of the tables. PostgreSQL refuses whatever would be written elsewhere, and all is rolled back.\n" +
			"Workers that keep some of the same tables work in the windows too; they are not compared.\n" +
			"Exit code 2: something differs, or the worker could not handle an event. docs/howto/shadow-a-worker.md says what it\n" +
			"cannot tell.",
		Flags: settings.DatabaseFlags(
			&cli.DurationFlag{Name: flagFor, Value: 10 * time.Minute, Usage: "how long, at most"},
			&cli.Int64Flag{Name: flagEvents, Usage: "end after the window that brings the compared events to this number; 0: --for alone ends it"},
			&cli.DurationFlag{Name: flagWindow, Value: 30 * time.Second, Usage: "how long the live worker goes on between two comparisons; at least five times as long as copying its tables takes"},
			&cli.IntFlag{Name: flagLimit, Value: 10, Usage: "list at most this many differences of each kind; all are counted"},
		),
		Action: settings.OnSchema("shadow", 1, asked, run),
	}
}

// asked reads the command line. The database is still missing.
func asked(cctx *cli.Context) (cfg shadow.Config, err error) {
	cfg = shadow.Config{
		Fleet: workers.Fleet(workers.Config{}), For: cctx.Duration(flagFor), Events: cctx.Int64(flagEvents),
		Window: cctx.Duration(flagWindow), Limit: cctx.Int(flagLimit),
	}
	all := map[string]worker.Worker{}
	for _, w := range cfg.Fleet {
		all[w.Name()] = w
	}
	name := cctx.Args().First()
	switch {
	case cctx.NArg() != 1:
		return cfg, exit.Usage("want the name of one worker; `composerp worker list` shows the workers")
	case cfg.For <= 0 || cfg.Window <= 0:
		return cfg, exit.Usage("--%s and --%s want a duration such as 10m", flagFor, flagWindow)
	case cfg.Events < 0 || cfg.Limit < 0:
		return cfg, exit.Usage("--%s and --%s want a number of at least 0", flagEvents, flagLimit)
	}
	w, ok := all[name]
	if !ok {
		return cfg, exit.Usage("no worker is named %q; %s`composerp worker list` shows the workers", name, terminal.Suggest(name, slices.Sorted(maps.Keys(all))))
	}
	cfg.Worker = w
	if err := shadow.Check(w); err != nil {
		return cfg, exit.Usage("%v", err)
	}
	return cfg, nil
}

func run(cctx *cli.Context, db *store.DB, cfg shadow.Config) error {
	progress := terminal.NewStatus(cctx.App.ErrWriter)
	cfg.DB = db
	cfg.Progress = func(r shadow.Report) {
		e := r.Emitted
		progress.Say(wording.Sprintf("window %d: %d events compared, %d emitted events alike, %d not, %d events failed",
			r.Windows, r.Events, e.Same, e.Different+e.Missing+e.Additional, r.Failed))
	}
	progress.Say(fmt.Sprintf("copying the tables of %s; the first window ends in %v", cfg.Worker.Name(), min(cfg.Window, cfg.For)))
	r, err := shadow.Run(cctx.Context, cfg)
	progress.End()
	if err != nil && r.Windows == 0 {
		return wrapped(err)
	}
	if shown := terminal.Show(cctx, r, func(w io.Writer) { table(w, r) }); shown != nil {
		return shown
	}
	switch {
	case err != nil:
		return wrapped(err)
	case r.Differs():
		return exit.Findings("the shadow does something else than the live worker")
	case r.Events == 0:
		terminal.Say(cctx, "the live worker handled no event meanwhile: nothing was compared")
	}
	return nil
}

func wrapped(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("shadowing: %w", err)
}

func table(w io.Writer, r shadow.Report) {
	e := r.Emitted
	terminal.Row(w, "WORKER", r.Worker)
	terminal.Row(w, "BESIDE IT", cmp.Or(strings.Join(r.Beside, ", "), "-"))
	terminal.Row(w, "WINDOWS", wording.Sprintf("%d compared, %d abandoned", r.Windows, r.Abandoned))
	terminal.Row(w, "EVENTS", wording.Sprintf("%d compared, %d failed, %d between windows left out", r.Events, r.Failed, r.LeftOut))
	terminal.Row(w, "EMITTED", wording.Sprintf("%d same, %d different, %d missing, %d additional", e.Same, e.Different, e.Missing, e.Additional))
	if r.BesideFailed > 0 {
		terminal.Row(w, "FAILED BESIDE", wording.Sprintf("%d events of other workers: what depends on them may differ", r.BesideFailed))
	}
	terminal.Row(w)
	terminal.Row(w, "TABLE", "SAME", "DIFFERENT", "MISSING", "ADDITIONAL", "WRITTEN ELSEWHERE")
	for _, t := range r.Tables {
		terminal.Row(w, t.Table, t.Same, t.Different, t.Missing, t.Additional, t.Elsewhere)
	}
	tableDifferences(w, r)
	if len(r.Failures) > 0 {
		terminal.Row(w)
		terminal.Row(w, "FAILED", "EVENT", "TYPE", "ERROR")
		for _, f := range r.Failures {
			terminal.Row(w, f.Worker, f.EventID, f.Type, f.Error)
		}
	}
	if len(r.Rows) > 0 {
		terminal.Row(w)
		terminal.Row(w, "ROW OF", "LIVE", "SHADOW")
		for _, row := range r.Rows {
			terminal.Row(w, row.Table, cmp.Or(string(row.Live), "-"), cmp.Or(string(row.Shadow), "-"))
		}
	}
}

func tableDifferences(w io.Writer, r shadow.Report) {
	if len(r.Differences) == 0 {
		return
	}
	terminal.Row(w)
	terminal.Row(w, "EMITTED", "TYPE", "ABOUT EVENT", "FIELD", "LIVE", "SHADOW")
	for _, d := range r.Differences {
		if d.Kind != shadow.Different {
			terminal.Row(w, d.Kind, d.Type, d.Cause, "payload", payload(d.Live), payload(d.Shadow))
		}
		for _, f := range d.Fields {
			terminal.Row(w, d.Kind, d.Type, d.Cause, f.Path, cmp.Or(string(f.Live), "-"), cmp.Or(string(f.Shadow), "-"))
		}
	}
}

// payload is that of an event's body; "-" without a body.
func payload(body json.RawMessage) string {
	var e struct {
		Payload json.RawMessage `json:"payload"`
	}
	if json.Unmarshal(body, &e) != nil {
		return "-"
	}
	return string(e.Payload)
}
