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
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

func dlqDiscardCommand() *cli.Command {
	return &cli.Command{
		Name: "discard", Usage: "take letters away for good, after exporting them to a file",
		Description: "Without --confirm it tells how many it would be. The file gets a line for each letter, with headers and body, and is\n" +
			"on disk before the letter leaves the queue.",
		Flags: settings.ConnectionFlags(letterFlags(
			&cli.StringFlag{Name: "confirm", Usage: "the name of the queue that letters are taken from: composerp.ledger.dead"},
			&cli.StringFlag{Name: "export", Usage: "the file for the export, which may not be there yet; QUEUE-TIME.ndjson when left out"},
		)...),
		Action: dlqDiscard,
	}
}

// discarded is what `dlq discard` shows.
type discarded struct {
	deadletters.DiscardReport
	Export string `json:"export"`
}

func dlqDiscard(cctx *cli.Context) error {
	of, limit, err := letters(cctx)
	if err != nil {
		return err
	}
	if len(of.Consumers) != 1 {
		return exit.Usage("--queue: name the one worker whose letters to take away; composerp dlq list shows where some are")
	}
	queue := topology.DeadQueueName(of.Consumers[0])
	c, err := openLetters(cctx)
	if err != nil {
		return err
	}
	defer c.DB.Close()
	if cctx.String("confirm") != queue {
		return unconfirmed(cctx, c, of, limit, queue)
	}
	file, err := exportFile(cctx.String("export"), queue)
	if err != nil {
		return err
	}
	bars := newWalking(cctx)
	report, err := c.Discard(cctx.Context, deadletters.Discard{
		Queue: deadletters.Queue{Worker: of.Consumers[0]}, Filter: of, Limit: limit, Export: file, Progress: bars.of(queue),
	})
	bars.End()
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
		return errors.New("interrupted; the same command goes on with the rest, into another file")
	}
	return err
}

// unconfirmed tells what it would be, and what to type.
func unconfirmed(cctx *cli.Context, c deadletters.Config, of failures.LetterFilter, limit int, queue string) error {
	if typed := cctx.String("confirm"); typed != "" {
		return exit.Usage("--confirm=%s is not the queue that letters would be taken from, which is %s", typed, queue)
	}
	known, err := failures.LettersByConsumer(cctx.Context, c.DB, of)
	if err != nil {
		return err
	}
	n := 0
	for _, l := range known {
		n += l.Lying
	}
	if limit > 0 {
		n = min(n, limit)
	}
	return exit.Usage("%s of %s would be exported and taken away; add --confirm=%s to do it", terminal.Plural(n, "letter"), queue, queue)
}

// exportFile makes the file of an export. One that is there is never written over.
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
