package deadletters

import (
	"errors"
	"io"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/worker"
)

func dlqRedriveCommand() *cli.Command {
	return &cli.Command{
		Name: "redrive", Usage: "put letters back to their workers, slowly at first",
		Description: "Each goes back to its one queue with a whole ladder before it, and leaves the dead letters only when the broker has\n" +
			"it there. It begins with one a second, goes on to 2, 5, 10 ... as long as all is well, and ends by itself when\n" +
			"too many fail again. What is interrupted goes on with the same command. --dry-run lets today's workers handle\n" +
			"the letters in transactions that are rolled back, makes no calls, and tells what would pass. An event so old\n" +
			"that its worker's inbox can not tell any more whether it was handled is refused without --force.\n" +
			"Exits 2 when something failed again, would fail, or was refused.",
		Flags: settings.ConnectionFlags(letterFlags(
			&cli.BoolFlag{Name: "all", Usage: "of all workers"},
			&cli.StringFlag{Name: "rate", Usage: "so many a second from the beginning, or max"},
			&cli.IntFlag{Name: "max-failure-rate", Value: deadletters.DefaultStopAt, Usage: "stop when more than this percentage has failed again; 100: never"},
			&cli.BoolFlag{Name: "dry-run", Usage: "put nothing back, and tell what would become of it"},
			&cli.BoolFlag{Name: "force", Usage: "put back what may have been handled long ago, too"},
		)...),
		Action: dlqRedrive,
	}
}

func dlqRedrive(cctx *cli.Context) error {
	of, limit, err := letters(cctx)
	if err != nil {
		return err
	}
	r := deadletters.Redrive{Filter: of, Limit: limit, StopAt: cctx.Int("max-failure-rate"), Force: cctx.Bool("force")}
	if r.StopAt < 1 || r.StopAt > 100 {
		return exit.Usage("--max-failure-rate %d: want a share in percent, 1 to 100", r.StopAt)
	}
	if r.Pace, err = pace(cctx.String("rate")); err != nil {
		return err
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	fleet, err := redriven(cctx, of, workers.Fleet(workers.Config{Log: log}))
	if err != nil {
		return err
	}
	c, err := openLetters(cctx)
	if err != nil {
		return err
	}
	defer c.DB.Close()
	if cctx.Bool("dry-run") {
		return rehearse(cctx, c, r, fleet)
	}
	return redrive(cctx, c, r, fleet)
}

// redriven are the workers whose letters are put back: those named, or all.
func redriven(cctx *cli.Context, of failures.LetterFilter, fleet []worker.Worker) ([]worker.Worker, error) {
	names := of.Consumers
	switch all := cctx.Bool("all"); {
	case all && len(names) > 0:
		return nil, exit.Usage("--all and --queue: say one of the two")
	case all:
		names = DeadNames()
	case len(names) == 0:
		return nil, exit.Usage("say whose letters: --queue ledger, or --all; composerp dlq list shows where some are")
	}
	return actingWorkers(names, fleet)
}

func pace(rate string) (deadletters.Pace, error) {
	switch n, err := strconv.Atoi(rate); {
	case rate == "":
		return deadletters.Careful, nil
	case rate == "max":
		return deadletters.Steady(0), nil
	case err != nil || n < 1:
		return deadletters.Pace{}, exit.Usage("--rate %q: want letters a second, or max", rate)
	default:
		return deadletters.Steady(n), nil
	}
}

// redrive puts back queue after queue. One that stops stops all: what is wrong may be wrong for all of them.
func redrive(cctx *cli.Context, c deadletters.Config, r deadletters.Redrive, fleet []worker.Worker) error {
	reports := []deadletters.RedriveReport{}
	bars := newWalking(cctx)
	found, err := false, error(nil)
	for _, w := range fleet {
		r.Queue = deadletters.Queue{Worker: w.Name(), TracksInbox: w.TracksInbox()}
		r.Progress = bars.of(topology.DeadQueueName(w.Name()))
		var report deadletters.RedriveReport
		if report, err = c.Redrive(cctx.Context, r); report.Queue != "" {
			reports = append(reports, report)
		}
		found = found || report.Stopped || report.Failed > 0 || len(report.Refused) > 0
		if err != nil || report.Stopped {
			break
		}
		if r.Limit > 0 {
			if r.Limit -= report.Redriven; r.Limit == 0 {
				break
			}
		}
	}
	bars.End()
	if len(reports) > 0 {
		if err := terminal.Show(cctx, reports, func(w io.Writer) { showRedrives(cctx, w, reports) }); err != nil {
			return err
		}
	}
	switch {
	case err != nil && cctx.Context.Err() != nil:
		return errors.New("interrupted; the same command goes on with the rest")
	case err != nil:
		return err
	case found:
		return exit.Findings{What: "some letters failed again or were refused"}
	}
	return nil
}

func showRedrives(cctx *cli.Context, w io.Writer, reports []deadletters.RedriveReport) {
	terminal.Row(w, "QUEUE", "LOOKED AT", "PUT BACK", "HANDLED", "FAILED AGAIN", "NOT HEARD OF", "REFUSED")
	for _, r := range reports {
		terminal.Row(w, r.Queue, r.Seen, r.Redriven, r.Handled, r.Failed, r.Waiting, len(r.Refused))
	}
	for _, r := range reports {
		showFailing(w, r.Failures, "FAILED AGAIN")
	}
	for _, r := range reports {
		if len(r.Refused) > 0 {
			terminal.Row(w)
			terminal.Row(w, "REFUSED", "EVENT", "WHY")
		}
		for _, refused := range r.Refused {
			terminal.Row(w, refused.ID, refused.EventID, refused.Why)
		}
	}
	for _, r := range reports {
		sayOfRedrive(cctx, r)
	}
}

func sayOfRedrive(cctx *cli.Context, r deadletters.RedriveReport) {
	if r.Stopped {
		terminal.Say(cctx, "%s: stopped, for too many failed again; the rest lies where it lay", r.Queue)
	}
	if len(r.Refused) > 0 {
		terminal.Say(cctx, "%s: %s refused; if you know that their workers have not handled them, --force puts them back", r.Queue, terminal.Plural(len(r.Refused), "letter"))
	}
	if r.Idle && r.Redriven > 0 {
		terminal.Say(cctx, "nobody takes from %s: what was put back waits there", topology.QueueName(workerOf(r.Queue)))
	}
	if r.Absent > 0 {
		terminal.Say(cctx, "%s: %s in another's hand, and not looked at", r.Queue, terminal.Plural(r.Absent, "letter"))
	}
	if r.Missed > 0 {
		terminal.Say(cctx, "%s: %s of the journal had left the queue by another hand", r.Queue, terminal.Plural(r.Missed, "letter"))
	}
}

func showFailing(w io.Writer, failures []deadletters.Failing, title string) {
	if len(failures) == 0 {
		return
	}
	terminal.Row(w)
	terminal.Row(w, title, "TYPE", "KIND", "ERROR")
	for _, f := range failures {
		terminal.Row(w, f.Count, f.Type, f.Fingerprint, firstLine(f.Error))
	}
}
