package events

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/erasure"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/trace"
)

// Command is the command `events`.
func Command() *cli.Command {
	return &cli.Command{
		Name: "events", Usage: "look at events of the log, and where their deliveries are",
		Subcommands: []*cli.Command{
			{
				Name: "trace", Usage: "show what an event, a sale or an order follows from, and what follows from it", ArgsUsage: "ID",
				Description: "ID is an event's id, a correlation id, or the id of a sale, an order, a transfer, an item or anything else that events\n" +
					"tell of. The events that mention it are marked with *. Below the tree stands what has not been handled, where it is,\n" +
					"why, and the command that goes on from there. It reads the log from its end: some seconds for a million events.",
				Flags: settings.DatabaseFlags(
					&cli.StringFlag{Name: "tenant", Usage: "only the events of this tenant"},
					&cli.IntFlag{Name: "limit", Value: 20, Usage: "the most events that mention ID, the newest; 0: all"},
					archive.Flag(),
				),
				Action: settings.OnSchema("events", 1, traceAsked, traceEvents),
			},
			{
				Name: "show", Usage: "show an event as it was published, and where its deliveries are", ArgsUsage: "EVENT-ID",
				Flags: settings.DatabaseFlags(archive.Flag()), Action: settings.OnSchema("events", 1, eventAsked, showEvent),
			},
			queryCommand(), tailCommand(), lateCommand(), explainDelayCommand(), verifyCommand(), signingKeyCommand(),
			eraseCommand(), erasuresCommand(),
		},
	}
}

func traceAsked(cctx *cli.Context) (q trace.Query, err error) {
	if q.Limit, err = terminal.Limit(cctx); err != nil {
		return q, err
	}
	if cctx.NArg() != 1 {
		return q, exit.Usage("name one event, sale, order or item: composerp events trace ID")
	}
	q.Name, q.Tenant = cctx.Args().First(), cctx.String("tenant")
	return q, nil
}

func eventAsked(cctx *cli.Context) (id uuid.UUID, err error) {
	if cctx.NArg() != 1 {
		return id, exit.Usage("name one event: composerp events %s EVENT-ID", cctx.Command.Name)
	}
	if id, err = uuid.Parse(cctx.Args().First()); err != nil {
		return id, exit.Usage("%q is no event's id; `composerp events trace` finds events by what they tell of", cctx.Args().First())
	}
	return id, nil
}

func traceEvents(cctx *cli.Context, db *store.DB, q trace.Query) error {
	folder, err := archive.Given(cctx.Context, cctx, db)
	if err != nil {
		return err
	}
	if folder != nil {
		defer folder.Close()
	}
	progress := terminal.NewProgress(cctx.App.ErrWriter)
	q.Archives, q.Progress = folder, progress.Reading
	found, err := trace.Find(cctx.Context, db, q)
	progress.End()
	if err != nil {
		return err
	}
	if len(found.Events) == 0 {
		return notLogged(cctx, db, q.Name, wording.Sprintf("the log has no event that is or mentions %q", q.Name))
	}
	if found.More {
		terminal.Say(cctx, "these are the newest %d events that mention %s, with what belongs to them; --limit 0 shows all", q.Limit, q.Name)
	}
	for i := range found.Events {
		found.Events[i].Body = nil // `events show` has it
	}
	return terminal.Show(cctx, found.Events, func(w io.Writer) {
		showTree(w, found.Events)
		showUnhandled(w, found.Events)
	})
}

// notLogged says where else the message may be.
func notLogged(cctx *cli.Context, db *store.DB, name, what string) error {
	letters := 0
	of := failures.LetterFilter{IDs: []string{name}, IncludeResolved: true}
	err := failures.EachDeadLetter(cctx.Context, db, of, 0, func(failures.DeadLetter) error { letters++; return nil })
	switch {
	case err != nil:
		return err
	case letters > 0:
		return exit.Usage("%s, but the dead letters have: composerp dlq show %s", what, name)
	}
	if id, err := uuid.Parse(name); err == nil && cctx.Path(archive.FlagArchives) == "" {
		if file, err := archive.Holding(cctx.Context, db, id); err != nil || file != "" {
			return cmp.Or(err, exit.Usage("%s any more: it is archived in %s; `composerp events show %s --archives DIRECTORY` shows it", what, file, name))
		}
	}
	if cctx.Path(archive.FlagArchives) == "" {
		if err := archive.TellCut(cctx, db, "it is not looked through"); err != nil {
			return err
		}
	}
	return exit.Usage("%s; what came over AMQP is in it once intake has handled it", what)
}

func showTree(w io.Writer, events []trace.Event) {
	allNamed := !slices.ContainsFunc(events, func(e trace.Event) bool { return !e.Named })
	terminal.Row(w, "EVENT", "OF", "BUSINESS TIME", "DELIVERIES", "ID")
	for i := range events {
		e := &events[i]
		mark := ""
		if e.Named && !allNamed {
			mark = " *"
		}
		terminal.Row(w, branch(events, i)+e.Type+mark, e.Aggregate, terminal.Moment(e.OccurredAt), summary(e), e.ID)
	}
}

// branch draws the lines that lead to an event of the tree.
func branch(events []trace.Event, i int) string {
	depth := events[i].Depth
	if depth == 0 {
		return ""
	}
	lines := make([]string, depth)
	for d := 1; d <= depth; d++ {
		goesOn := false // the line at this depth goes on below
		for _, later := range events[i+1:] {
			if later.Depth <= d {
				goesOn = later.Depth == d
				break
			}
		}
		switch {
		case d == depth && goesOn:
			lines[d-1] = "├─ "
		case d == depth:
			lines[d-1] = "└─ "
		case goesOn:
			lines[d-1] = "│  "
		default:
			lines[d-1] = "   "
		}
	}
	return strings.Join(lines, "")
}

// summary counts deliveries by state.
func summary(e *trace.Event) string {
	if len(e.Deliveries) == 0 {
		if e.Archived {
			return "archived"
		}
		return "no consumer"
	}
	var order []trace.State
	counts := map[trace.State]int{}
	for _, d := range e.Deliveries {
		if counts[d.State]++; counts[d.State] == 1 {
			order = append(order, d.State)
		}
	}
	words := make([]string, len(order))
	for i, s := range order {
		words[i] = fmt.Sprintf("%d %s", counts[s], s)
	}
	return strings.Join(words, ", ")
}

func showUnhandled(w io.Writer, events []trace.Event) {
	headed := false
	for i := range events {
		for _, d := range events[i].Deliveries {
			if d.State == trace.Handled {
				continue
			}
			if !headed {
				terminal.Row(w)
				terminal.Row(w, "NOT HANDLED BY", "EVENT", "STATE", "WHY", "NEXT")
				headed = true
			}
			terminal.Row(w, d.Consumer, events[i].Type+" of "+events[i].Aggregate, d.State, Why(d), Next(&events[i], d))
		}
	}
}

// Why is the last failure of a delivery, "-" without one.
func Why(d trace.Delivery) string {
	if len(d.Tries) == 0 {
		return "-"
	}
	last := d.Tries[len(d.Tries)-1]
	return fmt.Sprintf("attempt %d at %s: %s", last.Attempt, terminal.Moment(last.FailedAt), wording.OneLine(last.Error))
}

// Next is the command that goes on from the state of a delivery of the event.
func Next(e *trace.Event, d trace.Delivery) string {
	switch d.State {
	case trace.Dead, trace.Discarded:
		return "composerp dlq show " + e.ID.String()
	case trace.Quarantined:
		return "composerp quarantine list"
	case trace.Parked:
		return "composerp lanes describe " + d.Consumer
	case trace.Unpublished, trace.Unpublishable:
		return "composerp doctor"
	}
	return "composerp worker describe " + d.Consumer
}

func showEvent(cctx *cli.Context, db *store.DB, id uuid.UUID) error {
	folder, err := archive.Given(cctx.Context, cctx, db)
	if err != nil {
		return err
	}
	if folder != nil {
		defer folder.Close()
	}
	progress := terminal.NewProgress(cctx.App.ErrWriter)
	e, err := trace.Get(cctx.Context, db, id, folder, progress.Reading)
	progress.End()
	if err != nil {
		return err
	}
	if e == nil {
		return notLogged(cctx, db, id.String(), wording.Sprintf("the log has no event %s", id))
	}
	erased, err := erasure.Of(cctx.Context, db, e.Seq)
	if err != nil {
		return err
	}
	shown := struct {
		*trace.Event
		Erased *erasure.Erasure `json:"erased,omitempty"`
	}{e, erased}
	return terminal.Show(cctx, shown, func(w io.Writer) {
		if erased != nil {
			terminal.Row(w, "ERASED", wording.Sprintf("%s, %s by %s: %s", strings.Join(erased.Fields, ", "), terminal.Moment(erased.ErasedAt), erased.Operator, wording.OneLine(erased.Reason)))
		}
		describeEvent(w, e)
	})
}

func describeEvent(w io.Writer, e *trace.Event) {
	terminal.Row(w, "event", e.ID)
	terminal.Row(w, "type", e.Type+" "+e.Version)
	terminal.Row(w, "of", e.Aggregate)
	terminal.Row(w, "tenant", e.Tenant)
	terminal.Row(w, "business time", terminal.Moment(e.OccurredAt))
	terminal.Row(w, "place in the log", fmt.Sprint(e.Seq))
	if e.LoggedAt != nil {
		terminal.Row(w, "logged", terminal.Moment(*e.LoggedAt))
	}
	published := "by the relay"
	if e.Publisher == trace.External {
		published = "over AMQP, before it was logged"
	}
	terminal.Row(w, "published", published)
	for _, line := range [][2]string{{"source", e.Source}, {"user", e.User}, {"correlation", e.CorrelationID}, {"follows from", e.CausationID}, {"traceparent", e.Traceparent}} {
		if line[1] != "" {
			terminal.Row(w, line[0], line[1])
		}
	}
	if e.Replay > 0 {
		terminal.Row(w, "follows from replay", e.Replay)
	}
	terminal.Row(w)
	if e.Archived {
		terminal.Row(w, "deliveries", "all were handled or given up before it was archived")
	} else {
		showDeliveries(w, e)
	}
	terminal.Row(w)
	terminal.Row(w, indented(e.Body))
}

func showDeliveries(w io.Writer, e *trace.Event) {
	terminal.Table(w, e.Deliveries, []any{"CONSUMER", "STATE", "FAILED TRIES", "THE LAST"}, func(d *trace.Delivery) []any {
		return []any{d.Consumer, d.State, len(d.Tries), Why(*d)}
	})
}

// indented is a body, an attribute a line.
func indented(body json.RawMessage) string {
	var text bytes.Buffer
	if json.Indent(&text, body, "", "  ") != nil {
		return string(body)
	}
	return text.String()
}
