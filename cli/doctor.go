package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/store"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "look for what is wrong, and say what to do about it",
		Description: "Asks both servers for their versions, plugins, alarms, disks, schema and topology, and how far the log and the\n" +
			"queues have got. It changes nothing; to see that the broker takes a large message it sends one that no queue\n" +
			"is bound for. Exits 0 when all is well, 2 when there is something to do, 69 when no server could be asked.",
		Flags:  append([]cli.Flag{&cli.BoolFlag{Name: "show-config", Usage: "only list every setting with its value and where it comes from"}, outputFlag()}, settingFlags()...),
		Action: doctor,
	}
}

// finding is what the doctor found in one place.
type finding struct {
	Check string `json:"check"`
	State state  `json:"state"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

type state string

const (
	stateOK      state = "ok"
	stateWarning state = "warning" // it works, and somebody should look
	stateProblem state = "problem" // something does not work, or soon will not
)

// examination collects findings. Whatever can not be asked is a finding too: nothing is well because nobody looked.
type examination struct {
	endpoints
	dir      string
	log      *slog.Logger
	asked    bool      // at least one server answered
	db       *store.DB // nil when it can not be asked
	findings []finding
}

// close ends what was opened to ask with.
func (x *examination) close() {
	if x.db != nil {
		x.db.Close()
	}
}

// has tells whether something was found in that place already.
func (x *examination) has(check string) bool {
	return slices.ContainsFunc(x.findings, func(f finding) bool { return f.Check == check })
}

func (x *examination) ok(check, format string, args ...any) {
	x.findings = append(x.findings, finding{Check: check, State: stateOK, What: fmt.Sprintf(format, args...)})
}

func (x *examination) warn(check, do, format string, args ...any) {
	x.findings = append(x.findings, finding{check, stateWarning, fmt.Sprintf(format, args...), do})
}

func (x *examination) problem(check, do, format string, args ...any) {
	x.findings = append(x.findings, finding{check, stateProblem, fmt.Sprintf(format, args...), do})
}

// failed notes an error; what to do stands in its text, or in its advice.
func (x *examination) failed(check string, err error) {
	x.problem(check, advice(err), "%s", oneLine(err))
}

// unasked notes what could not be looked at, by the error, whose text says what to do.
func (x *examination) unasked(check string, err error) {
	x.warn(check, "", "not looked at: %s", oneLine(err))
}

// worst is the state of the whole.
func (x *examination) worst() state {
	worst := stateOK
	for _, f := range x.findings {
		if f.State == stateProblem || f.State == stateWarning && worst == stateOK {
			worst = f.State
		}
	}
	return worst
}

// askPatience bounds each server's examination.
const askPatience = 20 * time.Second

func doctor(cctx *cli.Context) error {
	if err := noArguments(cctx); err != nil {
		return err
	}
	if cctx.Bool("show-config") {
		return showConfig(cctx)
	}
	at, err := discover(cctx)
	if err != nil {
		return err
	}
	x := &examination{endpoints: at, dir: cctx.String(flagDir), log: slog.New(slog.DiscardHandler)}
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
	switch worst := x.worst(); {
	case !x.asked:
		return unreachable{}
	case worst != stateOK:
		return findings{string(worst)}
	}
	return nil
}

// unreachable ends a doctor whom nobody answered; what was found has been shown.
type unreachable struct{}

func (unreachable) Error() string {
	return "no server could be asked; `composerp up` starts private ones, and `composerp doctor --show-config` says where others were looked for"
}

func showExamination(cctx *cli.Context, x *examination) error {
	shown := struct {
		State    state     `json:"state"`
		Findings []finding `json:"findings"`
	}{x.worst(), x.findings}
	return show(cctx, shown, func(w io.Writer) {
		// What is wrong comes last: it is what is seen on a screen.
		sorted := slices.Clone(x.findings)
		rank := map[state]int{stateOK: 0, stateWarning: 1, stateProblem: 2}
		slices.SortStableFunc(sorted, func(a, b finding) int { return rank[a.State] - rank[b.State] })
		for _, f := range sorted {
			row(w, f.State, f.Check, f.What)
			if f.Do != "" {
				row(w, "", "", "-> "+f.Do)
			}
		}
	})
}
