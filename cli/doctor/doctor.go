package doctor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
)

func Command() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "look for what is wrong, and say what to do about it",
		Description: "Asks both servers for their versions, plugins, alarms, disks, schema and topology, and how far the log and the\n" +
			"queues have got. It changes nothing; to see that the broker takes a large message it sends one that no queue\n" +
			"is bound for. Exits 0 when all is well, 2 when there is something to do, 69 when no server could be asked.",
		Flags:  append([]cli.Flag{&cli.BoolFlag{Name: "show-config", Usage: "only list every setting with its value and where it comes from"}, terminal.OutputFlag()}, settings.Flags()...),
		Action: doctor,
	}
}

// finding is what the doctor found in one place.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

type State string

const (
	StateOK      State = "ok"
	StateWarning State = "warning" // it works, and somebody should look
	StateProblem State = "problem" // something does not work, or soon will not
)

// examination collects findings. Whatever can not be asked is a finding too: nothing is well because nobody looked.
type Examination struct {
	settings.Endpoints
	dir      string
	log      *slog.Logger
	asked    bool      // at least one server answered
	db       *store.DB // nil when it can not be asked
	Findings []Finding
}

// close ends what was opened to ask with.
func (x *Examination) close() {
	if x.db != nil {
		x.db.Close()
	}
}

// has tells whether something was found in that place already.
func (x *Examination) has(check string) bool {
	return slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.Check == check })
}

func (x *Examination) ok(check, format string, args ...any) {
	x.Findings = append(x.Findings, Finding{Check: check, State: StateOK, What: fmt.Sprintf(format, args...)})
}

func (x *Examination) warn(check, do, format string, args ...any) {
	x.Findings = append(x.Findings, Finding{check, StateWarning, fmt.Sprintf(format, args...), do})
}

func (x *Examination) problem(check, do, format string, args ...any) {
	x.Findings = append(x.Findings, Finding{check, StateProblem, fmt.Sprintf(format, args...), do})
}

// failed notes an error; what to do stands in its text, or in its advice.
func (x *Examination) failed(check string, err error) {
	x.problem(check, exit.Advice(err), "%s", exit.OneLine(err))
}

// unasked notes what could not be looked at, by the error, whose text says what to do.
func (x *Examination) unasked(check string, err error) {
	x.warn(check, "", "not looked at: %s", exit.OneLine(err))
}

// worst is the state of the whole.
func (x *Examination) Worst() State {
	worst := StateOK
	for _, f := range x.Findings {
		if f.State == StateProblem || f.State == StateWarning && worst == StateOK {
			worst = f.State
		}
	}
	return worst
}

// askPatience bounds each server's examination.
const askPatience = 20 * time.Second

func doctor(cctx *cli.Context) error {
	if err := settings.NoArguments(cctx); err != nil {
		return err
	}
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
	within := func(examine func(context.Context)) {
		ctx, cancel := context.WithTimeout(cctx.Context, askPatience)
		defer cancel()
		examine(ctx)
	}
	within(x.examineDatabase)
	within(x.examineBroker)
	x.examineDisk()
	if err := cctx.Context.Err(); err != nil {
		return err
	}
	if err := showExamination(cctx, x); err != nil {
		return err
	}
	switch worst := x.Worst(); {
	case !x.asked:
		return exit.Unreachable{}
	case worst != StateOK:
		return exit.Findings{What: string(worst)}
	}
	return nil
}

func showExamination(cctx *cli.Context, x *Examination) error {
	shown := struct {
		State    State     `json:"state"`
		Findings []Finding `json:"findings"`
	}{x.Worst(), x.Findings}
	return terminal.Show(cctx, shown, func(w io.Writer) {
		// What is wrong comes last: it is what is seen on a screen.
		sorted := slices.Clone(x.Findings)
		rank := map[State]int{StateOK: 0, StateWarning: 1, StateProblem: 2}
		slices.SortStableFunc(sorted, func(a, b Finding) int { return rank[a.State] - rank[b.State] })
		for _, f := range sorted {
			terminal.Row(w, f.State, f.Check, f.What)
			if f.Do != "" {
				terminal.Row(w, "", "", "-> "+f.Do)
			}
		}
	})
}
