package deadletters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/worker"
)

func dlqRedriveCommand() *cli.Command {
	return &cli.Command{
		Name: "redrive", Usage: "return dead letters to their workers, slowly at first",
		Description: "Publishes each letter to the queue of its worker, with all its retries, and removes it from the dead letters once the\n" +
			"broker has confirmed it. The rate starts at one a second and rises to 2, 5, 10 ... while few letters fail. The\n" +
			"redrive stops when more than --max-failure-rate of them fail again. After an interruption the same command resumes.\n" +
			"--dry-run handles the letters in transactions that are rolled back, makes no calls, and reports which would pass.\n" +
			"With --queue unrouted it publishes the events that no queue was bound for to composerp.events again: those that have\n" +
			"a queue now, under their key, or under their type's where nothing knows their key.\n" +
			"--timestamp redrives events with another business time, such as a till's whose clock was wrong; with --all, the event\n" +
			"goes back to every worker that has set it apart. An event that the log holds with another time is refused.\n" +
			"An event older than its worker's inbox can check for duplicates is refused without --force.\n" +
			"Exits 2 when a letter failed again, would fail, or was refused.",
		Flags: settings.ConnectionFlags(letterFlags(
			&cli.BoolFlag{Name: "all", Usage: "the dead letters of all workers"},
			&cli.StringFlag{Name: "rate", Usage: "letters a second, constant; or max"},
			&cli.IntFlag{Name: "max-failure-rate", Value: deadletters.DefaultStopAt, Usage: "stop when more than this percentage has failed again; 100: never"},
			&cli.BoolFlag{Name: "dry-run", Usage: "redrive nothing; report what would happen"},
			&cli.StringFlag{Name: "timestamp", Usage: "business time, RFC 3339, with which the events of --id go back: for those whose own is out of bounds"},
			&cli.BoolFlag{Name: "force", Usage: "also redrive events that may have been handled long ago"},
			settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
		)...),
		Action: orUnrouted(settings.On(openLetters, redriveAsked, dlqRedrive), settings.On(openUnrouted, unroutedAsked, redriveUnrouted)),
	}
}

// redriveQuestion is what a redrive is to do, for which workers.
type redriveQuestion struct {
	deadletters.Redrive
	fleet []worker.Worker
}

func redriveAsked(cctx *cli.Context) (q redriveQuestion, err error) {
	of, err := letters(cctx)
	if err != nil {
		return q, err
	}
	q.Redrive = deadletters.Redrive{Filter: of.LetterFilter, Limit: of.limit, StopAt: cctx.Int("max-failure-rate"), Force: cctx.Bool("force")}
	if q.StopAt < 1 || q.StopAt > 100 {
		return q, exit.Usage("--max-failure-rate %d: want a share in percent, 1 to 100", q.StopAt)
	}
	if q.Timestamp, err = corrected(cctx); err != nil {
		return q, err
	}
	if q.Pace, err = pace(cctx.String("rate")); err != nil {
		return q, err
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return q, err
	}
	q.fleet, err = redriven(cctx, of.LetterFilter, workers.Fleet(workers.Config{Log: log}))
	return q, err
}

func dlqRedrive(cctx *cli.Context, c letterLog, q redriveQuestion) error {
	if cctx.Bool("dry-run") {
		return rehearse(cctx, c, q.Redrive, q.fleet)
	}
	return redrive(cctx, c, q.Redrive, q.fleet)
}

// redriven are the workers whose letters are redriven: those named, or all.
func redriven(cctx *cli.Context, of failures.LetterFilter, fleet []worker.Worker) ([]worker.Worker, error) {
	names := of.Consumers
	switch all := cctx.Bool("all"); {
	case all && len(names) > 0:
		return nil, exit.Usage("--all and --queue: give one of the two")
	case all:
		names = DeadNames()
	case len(names) == 0:
		return nil, exit.Usage("name the worker: --queue ledger, or --all; composerp dlq list shows the queues with dead letters")
	}
	return actingWorkers(names, fleet)
}

// corrected is the time of --timestamp, which is meant for single events.
func corrected(cctx *cli.Context) (time.Time, error) {
	text := cctx.String("timestamp")
	if text != "" && len(cctx.StringSlice("id")) == 0 {
		return time.Time{}, exit.Usage("--timestamp: name the events by --id; composerp dlq list --each shows the ids")
	}
	return terminal.ReadTime("timestamp", text, time.Time{})
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

// redrive redrives one queue after the other. When one stops, all stop: the cause may be the same for all.
func redrive(cctx *cli.Context, c letterLog, r deadletters.Redrive, fleet []worker.Worker) error {
	var queues []string
	for _, w := range fleet {
		queues = append(queues, topology.DeadQueueName(w.Name()))
	}
	if err := note(cctx, c.DB, "dlq redrive", queues, r.Filter, r.Limit); err != nil {
		return err
	}
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
		return errors.New("interrupted; the same command resumes")
	case err != nil:
		return err
	case found:
		return exit.Findings("some letters failed again or were refused")
	}
	return nil
}

func showRedrives(cctx *cli.Context, w io.Writer, reports []deadletters.RedriveReport) {
	terminal.Row(w, "QUEUE", "READ", "REDRIVEN", "HANDLED", "FAILED AGAIN", "UNKNOWN", "REFUSED")
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
		terminal.Say(cctx, "%s: stopped: too many letters failed again; the rest stay in the queue", r.Queue)
	}
	if len(r.Refused) > 0 {
		terminal.Say(cctx, "%s: %s refused; if you know that their workers have not handled them, redrive with --force", r.Queue, wording.Count(int64(len(r.Refused)), "letter"))
	}
	if r.Idle && r.Redriven > 0 {
		terminal.Say(cctx, "%s has no consumer: redriven letters wait there", topology.QueueName(workerOf(r.Queue)))
	}
	if r.Absent > 0 {
		terminal.Say(cctx, "%s: %s held by another consumer and not read", r.Queue, wording.Count(int64(r.Absent), "letter"))
	}
	if r.Missed > 0 {
		terminal.Say(cctx, "%s: %s of the dead-letter log were no longer in the queue", r.Queue, wording.Count(int64(r.Missed), "letter"))
	}
}

func showFailing(w io.Writer, failures []deadletters.Failing, title string) {
	if len(failures) == 0 {
		return
	}
	terminal.Row(w)
	terminal.Row(w, title, "TYPE", "FINGERPRINT", "ERROR")
	for _, f := range failures {
		terminal.Row(w, f.Count, f.Type, f.Fingerprint, firstLine(f.Error))
	}
}

// rehearse reports what would happen to the letters. The workers handle them in the workers' role.
func rehearse(cctx *cli.Context, c letterLog, r deadletters.Redrive, fleet []worker.Worker) error {
	db, err := settings.OpenDatabase(cctx.Context, c.endpoints.AsRole(grants.Worker), "dlq", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	reports := []deadletters.RehearsalReport{}
	status := terminal.NewStatus(cctx.App.ErrWriter)
	defer status.End()
	fails := 0
	for _, w := range fleet {
		report, err := c.Rehearse(cctx.Context, deadletters.Rehearsal{
			Queue: deadletters.Queue{Worker: w.Name(), TracksInbox: w.TracksInbox()}, Filter: r.Filter, Limit: r.Limit, Timestamp: r.Timestamp,
			Try: func(ctx context.Context, d rabbitmq.Delivery) (deadletters.Verdict, error) {
				return try(ctx, db, w, d)
			},
			Progress: func(done int) { status.Say(fmt.Sprintf("%s: %d rehearsed", w.Name(), done)) },
		})
		if err != nil {
			return err
		}
		reports = append(reports, report)
		fails += report.Fails
	}
	status.End()
	err = terminal.Show(cctx, reports, func(w io.Writer) {
		terminal.Row(w, "QUEUE", "REHEARSED", "WOULD PASS", "HANDLED BEFORE", "PASS UP TO THE CALL", "WOULD FAIL")
		for _, r := range reports {
			terminal.Row(w, r.Queue, r.Rehearsed, r.Passes, r.Duplicates, r.BeforeCall, r.Fails)
		}
		for _, r := range reports {
			showFailing(w, r.Failures, "WOULD FAIL")
		}
	})
	if err == nil {
		err = noteRehearsals(cctx, c.DB, r, reports)
	}
	if err == nil && fails > 0 {
		err = exit.Findings("some letters would fail again")
	}
	return err
}

// try rehearses one message. An error that is not the message's own ends the rehearsal.
func try(ctx context.Context, db *store.DB, w worker.Worker, d rabbitmq.Delivery) (deadletters.Verdict, error) {
	err := w.Rehearse(ctx, db, d)
	switch {
	case err == nil:
		return deadletters.Passes, nil
	case errors.Is(err, worker.ErrHandledBefore):
		return deadletters.Duplicate, nil
	case errors.Is(err, worker.ErrBeforeCall):
		return deadletters.BeforeCall, nil
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrSchema), errors.Is(err, store.ErrAccess):
		return deadletters.Fails, fmt.Errorf("%w: %w", deadletters.ErrNoVerdict, err)
	}
	return deadletters.Fails, err
}
