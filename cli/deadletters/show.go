package deadletters

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

func lettersNamed(cctx *cli.Context) (of failures.LetterFilter, err error) {
	if cctx.NArg() == 0 {
		return of, exit.Usage("name a letter by its id or its event's: composerp dlq show ID; composerp dlq list --each shows the ids")
	}
	return failures.LetterFilter{IDs: cctx.Args().Slice(), Consumers: consumers(cctx), IncludeResolved: true}, nil
}

func idsNamed(cctx *cli.Context) ([]string, error) {
	of, err := lettersNamed(cctx)
	return of.IDs, err
}

func dlqShow(cctx *cli.Context, c letterLog, of failures.LetterFilter) error {
	found := []deadletters.Entry{}
	err := failures.EachDeadLetter(cctx.Context, c.DB, of, 0, func(l failures.DeadLetter) error {
		found = append(found, deadletters.EntryOf(l))
		return nil
	})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return exit.Usage("no dead letter %q; `composerp dlq list --each --all` shows all", cctx.Args().First())
	}
	c.addPolicies(cctx.Context, found)
	return showEach(cctx, found, showLetter)
}

func showEach[L any](cctx *cli.Context, letters []L, show func(io.Writer, L)) error {
	return terminal.Show(cctx, letters, func(w io.Writer) {
		for i, l := range letters {
			if i > 0 {
				terminal.Row(w)
			}
			show(w, l)
		}
	})
}

func showLetter(w io.Writer, e deadletters.Entry) {
	terminal.Row(w, "id", e.ID)
	terminal.Row(w, "queue", e.Queue)
	terminal.Row(w, "state", stateText(e))
	if e.EventID != nil {
		terminal.Row(w, "event", *e.EventID)
	}
	terminal.Row(w, "message", e.MessageID)
	terminal.Row(w, "type", e.Type)
	terminal.Row(w, "tenant", e.Tenant)
	terminal.Row(w, "aggregate", e.Aggregate)
	terminal.Row(w, "came as", e.RoutingKey)
	terminal.Row(w, "died", terminal.Moment(e.DiedAt))
	terminal.Row(w, "tries", e.Attempt)
	if e.Quarantine != "" {
		terminal.Row(w, "quarantined with", e.Quarantine)
	}
	terminal.Row(w, "fingerprint", e.Fingerprint)
	terminal.Row(w, "error", wording.OneLine(e.Error))
	if e.Policy != "" {
		terminal.Row(w, "policy", e.Policy)
	}
	headers := map[string]any{}
	if json.Unmarshal(e.Headers, &headers) == nil {
		for _, name := range slices.Sorted(maps.Keys(headers)) {
			if name != "x-error" {
				terminal.Row(w, "header "+name, wording.OneLine(plainHeader(headers[name])))
			}
		}
	}
	if e.Body != nil {
		terminal.Row(w, "body", wording.OneLine(*e.Body))
		return
	}
	terminal.Row(w, "body", fmt.Sprintf("%d binary bytes; -o json shows them", len(e.BodyBase64)))
}

// plainHeader is a header's value as JSON has it, texts without their quotes.
func plainHeader(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func stateText(e deadletters.Entry) string {
	switch {
	case e.DiscardedAt != nil:
		return "discarded at " + terminal.Moment(*e.DiscardedAt)
	case e.RedrivenAt != nil:
		return "redriven at " + terminal.Moment(*e.RedrivenAt)
	case e.MissedAt != nil:
		return "lost: found missing from its queue at " + terminal.Moment(*e.MissedAt)
	}
	return "pending in its queue"
}

func dlqExport(cctx *cli.Context, c letterLog, of chosen) error {
	return export(cctx, "dead letter", func(write func(letter any) error) error {
		return failures.EachDeadLetter(cctx.Context, c.DB, of.LetterFilter, of.limit, func(l failures.DeadLetter) error {
			return write(deadletters.EntryOf(l))
		})
	})
}

// export writes letters to stdout and says how many there were.
func export(cctx *cli.Context, what string, each func(write func(letter any) error) error) error {
	out := bufio.NewWriterSize(cctx.App.Writer, 1<<16)
	n := 0
	err := each(func(letter any) error { n++; return deadletters.WriteLine(out, letter) })
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	terminal.Say(cctx, "%s", wording.Count(int64(n), what))
	return nil
}
