package deadletters

import (
	"cmp"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// letterList is what `dlq list` shows.
type letterList struct {
	Queues []deadletters.QueueSummary `json:"queues"`
	Groups []letterGroup              `json:"groups"`
	// Letters are listed by --each, without headers and body.
	Letters []deadletters.Entry `json:"letters,omitempty"`
}

// letterGroup are dead letters of one queue, type and fingerprint of the error.
type letterGroup struct {
	Queue       string    `json:"queue"`
	Worker      string    `json:"worker"`
	Type        string    `json:"type"`
	Fingerprint string    `json:"fingerprint"`
	Quarantine  string    `json:"quarantine,omitempty"`
	Count       int       `json:"count"`
	Oldest      time.Time `json:"oldest"`
	Newest      time.Time `json:"newest"`
	Error       string    `json:"error"` // of the newest
	Example     string    `json:"example"`
}

func dlqList(cctx *cli.Context, c letterLog, of chosen) error {
	list, err := readLetters(cctx, c, of)
	if err != nil {
		return err
	}
	return terminal.Show(cctx, list, func(w io.Writer) { list.table(w, cctx.Bool("each")) })
}

func readLetters(cctx *cli.Context, c letterLog, of chosen) (list letterList, err error) {
	names := of.Consumers
	if len(names) == 0 {
		names = DeadNames()
	}
	list.Queues, err = c.Summaries(cctx.Context, names, of.LetterFilter)
	if errors.Is(err, deadletters.ErrDepths) { // without the broker the dead-letter log alone is useful
		terminal.Say(cctx, "%s; what follows comes from the dead-letter log", exit.OneLine(err))
		err = nil
	}
	if err != nil {
		return list, err
	}
	list.Groups = []letterGroup{}
	if cctx.Bool("each") {
		return list, failures.EachDeadLetter(cctx.Context, c.DB, of.LetterFilter, of.limit, func(l failures.DeadLetter) error {
			e := deadletters.EntryOf(l)
			e.Headers, e.Body, e.BodyBase64 = nil, nil, nil
			list.Letters = append(list.Letters, e)
			return nil
		})
	}
	groups, err := failures.LetterGroups(cctx.Context, c.DB, of.LetterFilter, of.limit)
	for _, g := range groups {
		list.Groups = append(list.Groups, letterGroup{
			Queue: topology.DeadQueueName(g.Consumer), Worker: g.Consumer, Type: g.Type, Fingerprint: g.Fingerprint, Quarantine: g.Quarantine, Count: g.Count,
			Oldest: g.Oldest.UTC(), Newest: g.Newest.UTC(), Error: g.Error, Example: g.Example.String(),
		})
	}
	return list, err
}

func (list letterList) table(w io.Writer, each bool) {
	header := []any{"QUEUE", "IN QUEUE", "PENDING", "OLDEST", "NEWEST", "REDRIVEN", "DISCARDED", "LOST"}
	terminal.Table(w, list.Queues, header, func(q *deadletters.QueueSummary) []any {
		return []any{q.Queue, terminal.NumberOr(q.InQueue), q.Lying, terminal.Or(q.Oldest, "-", terminal.Moment), terminal.Or(q.Newest, "-", terminal.Moment), q.Redriven, q.Discarded, q.Missed}
	})
	terminal.Row(w)
	if each {
		terminal.Table(w, list.Letters, []any{"DIED", "WORKER", "TYPE", "TENANT", "AGGREGATE", "TRIES", "STATE", "ID", "ERROR"}, func(l *deadletters.Entry) []any {
			return []any{terminal.Moment(l.DiedAt), l.Worker, l.Type, l.Tenant, l.Aggregate, l.Attempt, l.State, l.ID, listedError(l)}
		})
		return
	}
	terminal.Table(w, list.Groups, []any{"COUNT", "WORKER", "TYPE", "FINGERPRINT", "OLDEST", "NEWEST", "FOR EXAMPLE", "ERROR"}, func(g *letterGroup) []any {
		text := firstLine(g.Error)
		if g.Quarantine != "" {
			text += " (quarantined: " + g.Quarantine + ")"
		}
		return []any{g.Count, g.Worker, cmp.Or(g.Type, "-"), cmp.Or(g.Fingerprint, "-"), terminal.Moment(g.Oldest), terminal.Moment(g.Newest), g.Example, text}
	})
}

// listedError is a letter's error with the policy that made it.
func listedError(l *deadletters.Entry) string {
	if l.Policy == "" {
		return firstLine(l.Error)
	}
	return firstLine(l.Error) + " (" + l.Policy + ")"
}

// firstLine is the first line of an error, cut to the width of a table's cell.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return wording.Shortened(line, 120)
}
