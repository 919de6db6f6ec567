package deadletters

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

func dlqDiscardCommand() *cli.Command {
	return &cli.Command{
		Name: "discard", Usage: "export dead letters to a file and delete them",
		Description: "Without --confirm it only counts the letters. The file gets a line for each letter, with headers and body, and is\n" +
			"synced to disk before the letter is deleted.",
		Flags: settings.ConnectionFlags(letterFlags(
			&cli.StringFlag{Name: "confirm", Usage: "name of the dead-letter queue, such as composerp.ledger.dead"},
			&cli.StringFlag{Name: "export", Usage: "a new file for the export; default QUEUE-TIME.ndjson"},
			settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
		)...),
		Action: orUnrouted(settings.On(openLetters, lettersOfOne, dlqDiscard), settings.On(openUnrouted, letters, discardUnrouted)),
	}
}

// discarded is what `dlq discard` shows.
type discarded struct {
	deadletters.DiscardReport
	Export string `json:"export"`
}

func lettersOfOne(cctx *cli.Context) (chosen, error) {
	of, err := letters(cctx)
	if err == nil && len(of.Consumers) != 1 {
		err = exit.Usage("--queue: name one worker; composerp dlq list shows the queues with dead letters")
	}
	return of, err
}

func dlqDiscard(cctx *cli.Context, c letterLog, of chosen) error {
	queue := topology.DeadQueueName(of.Consumers[0])
	if cctx.String("confirm") != queue {
		return unconfirmed(cctx, c, of, queue)
	}
	file, err := exportFile(cctx.String("export"), queue)
	if err != nil {
		return err
	}
	if err := note(cctx, c.DB, "dlq discard", []string{queue}, of.LetterFilter, of.limit); err != nil {
		file.Close()
		return err
	}
	bars := newWalking(cctx)
	report, err := c.Discard(cctx.Context, deadletters.Discard{
		Queue: deadletters.Queue{Worker: of.Consumers[0]}, Filter: of.LetterFilter, Limit: of.limit, Export: file, Progress: bars.of(queue),
	})
	bars.End()
	return closeDiscard(cctx, file, report, err)
}

// closeDiscard closes the export, shows what was discarded, and returns the first error.
func closeDiscard(cctx *cli.Context, file *os.File, report deadletters.DiscardReport, err error) error {
	if closing := file.Close(); err == nil && closing != nil {
		err = fmt.Errorf("closing the export: %w", closing)
	}
	if info, look := os.Stat(file.Name()); look == nil && info.Size() == 0 {
		_ = os.Remove(file.Name())
	}
	if report.Queue != "" {
		shown := terminal.Show(cctx, discarded{report, file.Name()}, func(w io.Writer) {
			terminal.Row(w, "QUEUE", "LOOKED AT", "DISCARDED", "EXPORTED TO")
			terminal.Row(w, report.Queue, report.Seen, report.Discarded, file.Name())
		})
		if err == nil {
			err = shown
		}
	}
	if err != nil && cctx.Context.Err() != nil {
		return errors.New("interrupted; the same command resumes, into another file")
	}
	return err
}

// unconfirmed reports how many letters would be discarded, and the flag that does it.
func unconfirmed(cctx *cli.Context, c letterLog, of chosen, queue string) error {
	if typed := cctx.String("confirm"); typed != "" {
		return exit.Usage("--confirm=%s is not the dead-letter queue, which is %s", typed, queue)
	}
	known, err := failures.LettersByConsumer(cctx.Context, c.DB, of.LetterFilter)
	if err != nil {
		return err
	}
	n := 0
	for _, l := range known {
		n += l.Lying
	}
	if of.limit > 0 {
		n = min(n, of.limit)
	}
	return exit.Usage("%s of %s would be exported and deleted; add --confirm=%s to do it", wording.Count(int64(n), "letter"), queue, queue)
}

// exportFile creates the file of an export. It never overwrites one.
func exportFile(path, queue string) (*os.File, error) {
	if path == "" {
		path = queue + "-" + time.Now().UTC().Format("20060102T150405Z") + ".ndjson"
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, exit.Usage("--export %s: %v", path, exit.Reason(err))
	}
	return file, nil
}
