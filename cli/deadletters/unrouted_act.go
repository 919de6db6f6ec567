package deadletters

import (
	"errors"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/workers/runtime/unrouted"
)

func showUnrouted(cctx *cli.Context, q unroutedQueue, ids []string) error {
	found := []unrouted.Letter{}
	of := chosen{}
	of.IDs = ids
	if _, err := q.each(cctx.Context, of, func(l unrouted.Letter) error { found = append(found, l); return nil }); err != nil {
		return err
	}
	if len(found) == 0 {
		return exit.Usage("no unrouted message %q; `composerp dlq list --queue unrouted --each` shows all", ids[0])
	}
	return showEach(cctx, found, func(w io.Writer, l unrouted.Letter) {
		showLetter(w, l.Entry)
		terminal.Row(w, "reason", l.Reason)
		terminal.Row(w, "what to do", l.Do)
	})
}

func exportUnrouted(cctx *cli.Context, q unroutedQueue, of chosen) error {
	return export(cctx, "unrouted message", func(write func(letter any) error) error {
		_, err := q.each(cctx.Context, of, func(l unrouted.Letter) error { return write(l) })
		return err
	})
}

func discardUnrouted(cctx *cli.Context, q unroutedQueue, of chosen) error {
	if typed := cctx.String("confirm"); typed != topology.Unrouted {
		if typed != "" {
			return exit.Usage("--confirm=%s is not the queue, which is %s", typed, topology.Unrouted)
		}
		n := 0
		if _, err := q.each(cctx.Context, of, func(unrouted.Letter) error { n++; return nil }); err != nil {
			return err
		}
		return exit.Usage("%s of %s would be exported and deleted; add --confirm=%[2]s to do it", wording.Count(int64(n), "message"), topology.Unrouted)
	}
	file, err := exportFile(cctx.String("export"), topology.Unrouted)
	if err != nil {
		return err
	}
	if err := noteUnrouted(cctx, "dlq discard", of); err != nil {
		file.Close()
		return err
	}
	n := 0
	report, err := unrouted.Discard(cctx.Context, q.session, unroutedTag, q.routes, func(l unrouted.Letter) bool {
		if of.limit > 0 && n == of.limit || !l.Matches(of.LetterFilter) {
			return false
		}
		n++
		return true
	}, file)
	return closeDiscard(cctx, file, report, err)
}

// reroutedReport is what `dlq redrive --queue unrouted` shows.
type reroutedReport struct {
	Queue    string `json:"queue"`
	Chosen   int    `json:"chosen"`
	Redriven int64  `json:"redriven"`
	// Staying are those that no queue takes, by key, with what to do.
	Staying []unroutedGroup `json:"staying"`
}

// reroutingQuestion is what to publish again, and with which business time.
type reroutingQuestion struct {
	chosen
	timestamp time.Time
}

// unroutedAsked refuses what only a worker's letters can be redriven with.
func unroutedAsked(cctx *cli.Context) (q reroutingQuestion, err error) {
	for _, name := range []string{"all", "rate", "max-failure-rate", "force"} {
		if cctx.IsSet(name) {
			return q, exit.Usage("--%s: not with --queue %s", name, UnroutedName)
		}
	}
	if q.chosen, err = letters(cctx); err != nil {
		return q, err
	}
	q.timestamp, err = corrected(cctx)
	return q, err
}

func redriveUnrouted(cctx *cli.Context, q unroutedQueue, of reroutingQuestion) error {
	list, report := unroutedList{}, reroutedReport{Queue: topology.Unrouted, Staying: []unroutedGroup{}}
	_, err := q.each(cctx.Context, of.chosen, func(l unrouted.Letter) error {
		if err := l.Redatable(of.timestamp); err != nil {
			return exit.Usage("--timestamp: %s", exit.OneLine(err))
		}
		if report.Chosen++; q.routes.Takes(l) {
			report.Redriven++
		} else {
			list.add(l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	report.Staying = append(report.Staying, list.Groups...)
	if !cctx.Bool("dry-run") {
		if err := noteUnrouted(cctx, "dlq redrive", of.chosen); err != nil {
			return err
		}
		r := unrouted.Rerouting{Routes: q.routes, ByType: true, Filter: of.LetterFilter, Limit: of.limit, Timestamp: of.timestamp}
		report.Redriven, err = r.Run(cctx.Context, q.session, unroutedTag)
	}
	if shown := terminal.Show(cctx, report, report.table(cctx.Bool("dry-run"))); err == nil {
		err = shown
	}
	switch {
	case err != nil && cctx.Context.Err() != nil:
		return errors.New("interrupted; the same command resumes")
	case err == nil && len(report.Staying) > 0:
		return exit.Findings("some messages have no queue")
	}
	return err
}

func (r reroutedReport) table(rehearsed bool) func(w io.Writer) {
	title := "REDRIVEN"
	if rehearsed {
		title = "WOULD BE REDRIVEN"
	}
	return func(w io.Writer) {
		terminal.Row(w, "QUEUE", "CHOSEN", title)
		terminal.Row(w, r.Queue, r.Chosen, r.Redriven)
		if len(r.Staying) > 0 {
			terminal.Row(w)
			unroutedList{Queue: r.Queue, Groups: r.Staying}.table(w, false)
		}
	}
}
