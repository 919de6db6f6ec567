// Package doctor has the command doctor: checks of both servers with suggestions.
package doctor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/scaling"
)

// Command is the command `doctor`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check servers, topology, schema, log and queues; suggest fixes",
		Description: "Checks versions, plugins, alarms, disks, schema and topology of both servers, and the progress of the log and the\n" +
			"queues. It changes nothing; to test the broker's message size it publishes one message that no queue is bound for.\n" +
			"What its users at the servers may not see it says as `unseen`, with who may; that is no fault.\n" +
			"Exits 0 when all is well, 2 when there is something to do, 69 when no server answers.",
		Flags:  append([]cli.Flag{&cli.BoolFlag{Name: "show-config", Usage: "only list every setting with its value and its source"}, terminal.OutputFlag()}, settings.Flags()...),
		Action: doctor,
	}
}

// Finding is the result of one check.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

// State is the result of a check.
type State string

// The states of a check, from good to bad.
const (
	StateOK      State = "ok"      // nothing to do
	StateUnseen  State = "unseen"  // the doctor's user may not see it: no fault
	StateWarning State = "warning" // it works, and needs attention
	StateProblem State = "problem" // something does not work, or soon will not
)

// Examination collects findings. A check that could not be made is a finding too.
type Examination struct {
	settings.Endpoints
	dir     string
	log     *slog.Logger
	asked   bool      // at least one server answered
	limited string    // the broker's user, where it is one of the fleet's that is not to declare
	db      *store.DB // nil when it is unreachable
	resting []scaling.Resting
	// archiveAfter is the setting; 0: it is not set.
	archiveAfter time.Duration
	Findings     []Finding
}

// close closes the connections of the examination.
func (x *Examination) close() {
	if x.db != nil {
		x.db.Close()
	}
}

// has reports whether the check has a finding already.
func (x *Examination) has(check string) bool {
	return slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.Check == check })
}

func (x *Examination) ok(check, format string, args ...any) {
	x.Findings = append(x.Findings, Finding{Check: check, State: StateOK, What: wording.Sprintf(format, args...)})
}

func (x *Examination) warn(check, do, format string, args ...any) {
	x.Findings = append(x.Findings, Finding{check, StateWarning, wording.Sprintf(format, args...), do})
}

func (x *Examination) problem(check, do, format string, args ...any) {
	x.Findings = append(x.Findings, Finding{check, StateProblem, wording.Sprintf(format, args...), do})
}

// failed notes an error; what to do stands in its text, or in its advice. A server without an answer is not the
// doctor's to look at again.
func (x *Examination) failed(check string, err error) {
	do := exit.Advice(err)
	if errors.Is(err, context.DeadlineExceeded) {
		do = "it takes connections or hangs: look at the server's log and load, and restart it if it does not recover"
	}
	x.problem(check, do, "%s", exit.OneLine(err))
}

// unasked adds a check that could not be made, with the error, whose text says what to do.
func (x *Examination) unasked(check string, err error) {
	x.warn(check, "", "not checked: %s", exit.OneLine(err))
}

// Worst is the state of the whole.
func (x *Examination) Worst() State {
	worst := StateOK
	for _, f := range x.Findings {
		if f.State == StateProblem || f.State == StateWarning && worst == StateOK {
			worst = f.State
		}
	}
	return worst
}

// askTimeout bounds each server's examination, questionTimeout a question where a client has no bound of its own.
const (
	askTimeout      = time.Minute
	questionTimeout = 5 * time.Second
)

func doctor(cctx *cli.Context) error {
	if cctx.Bool("show-config") {
		return showConfig(cctx)
	}
	at, err := settings.Discover(cctx)
	if err != nil {
		return err
	}
	x := &Examination{Endpoints: at, dir: cctx.String(settings.FlagDir), log: slog.New(slog.DiscardHandler)}
	defer x.close()
	x.settings(cctx)
	if x.archiveAfter, err = archiveAfter(cctx); err != nil {
		return err
	}
	within := func(examine func(context.Context)) {
		ctx, cancel := context.WithTimeout(cctx.Context, askTimeout)
		defer cancel()
		examine(ctx)
	}
	within(x.examineDatabase)
	within(x.examineBroker)
	x.examineSecrets(cctx)
	x.examineDisk()
	if err := cctx.Context.Err(); err != nil {
		return err
	}
	if err := showExamination(cctx, x); err != nil {
		return err
	}
	switch worst := x.Worst(); {
	case !x.asked:
		return exit.ErrUnreachable
	case worst != StateOK:
		return exit.Findings(string(worst))
	}
	return nil
}

func showExamination(cctx *cli.Context, x *Examination) error {
	shown := struct {
		State    State     `json:"state"`
		Findings []Finding `json:"findings"`
	}{x.Worst(), x.Findings}
	return terminal.Show(cctx, shown, func(w io.Writer) {
		// Problems come last, where a terminal shows them.
		sorted := slices.Clone(x.Findings)
		rank := map[State]int{StateOK: 0, StateUnseen: 1, StateWarning: 2, StateProblem: 3}
		slices.SortStableFunc(sorted, func(a, b Finding) int { return rank[a.State] - rank[b.State] })
		for _, f := range sorted {
			terminal.Row(w, f.State, f.Check, f.What)
			if f.Do != "" {
				terminal.Row(w, "", "", "-> "+f.Do)
			}
		}
	})
}
