package events

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventquery"
)

func queryCommand() *cli.Command {
	return &cli.Command{
		Name: "query", Usage: "list the events of the log that fulfil conditions, in the order of the log",
		Description: "All conditions must hold. --since and --until are times at which events were logged; --occurred-since,\n" +
			"--occurred-until and --date are business time. --where is a path of SQL/JSON on the event, and holds where it yields\n" +
			"anything but false and null; fields of the envelope may stand in it without $. It reads the log from its beginning,\n" +
			"with --reverse from its end: some seconds for a million events, whose number does not matter to memory.\n\n" +
			"   composerp events query --type 'purchase_order.*' --date 2026-02-09\n" +
			"   composerp events query --item 85123A --where 'payload.quantity > 10' --limit 0 -o ndjson | jq .event.payload",
		Flags: filterFlags(
			&cli.IntFlag{Name: "limit", Value: 100, Usage: "the most events; 0: all"},
			&cli.BoolFlag{Name: "reverse", Usage: "the newest first"},
			archive.Flag(),
		),
		Action: settings.OnSchema("events", 1, queryAsked, queryEvents),
	}
}

func queryAsked(cctx *cli.Context) (q eventquery.Query, err error) {
	if q.Limit, err = terminal.Limit(cctx); err != nil {
		return q, err
	}
	q.Reverse = cctx.Bool("reverse")
	q.Filter, err = filterAsked(cctx)
	return q, err
}

func queryEvents(cctx *cli.Context, db *store.DB, q eventquery.Query) error {
	terminal.IgnorePipe()
	var err error
	if q.Archives, err = archive.Given(cctx.Context, cctx, db); err != nil {
		return err
	}
	if q.Archives != nil {
		defer q.Archives.Close()
	}
	if err := archive.Tell(cctx, db, &q); err != nil {
		return err
	}
	out := newEventLines(cctx)
	q.Progress = out.reading
	result, err := eventquery.Each(cctx.Context, db, q, out.write)
	if err := out.end(err); err != nil {
		return filterError(cctx, err)
	}
	out.unreadable(cctx, result)
	if result.More {
		what := "the first"
		if q.Reverse {
			what = "the newest"
		}
		if q.Limit != 1 {
			what += wording.Sprintf(" %d", q.Limit)
		}
		terminal.Say(cctx, "there are more events than %s; --limit 0 shows all", what)
	}
	return nil
}

// eventLines writes events as they come, and how far the log has been read.
type eventLines struct {
	*terminal.Lines[eventquery.Event]
	status interface {
		Say(text string)
		End()
	}
	began   time.Time
	shows   bool // what is read is worth a line: stderr is a terminal
	gone    bool // the reader of stdout has gone
	written int64
}

func newEventLines(cctx *cli.Context) *eventLines {
	return &eventLines{
		Lines: terminal.NewLines(cctx,
			terminal.Column[eventquery.Event]{Title: "PLACE", Width: 9, Cell: func(e *eventquery.Event) string { return strconv.FormatInt(e.Seq, 10) }},
			terminal.Column[eventquery.Event]{Title: "BUSINESS TIME", Width: 23, Cell: func(e *eventquery.Event) string { return terminal.Moment(e.OccurredAt) }},
			terminal.Column[eventquery.Event]{Title: "TYPE", Width: 23, Cell: func(e *eventquery.Event) string { return e.Type }},
			terminal.Column[eventquery.Event]{Title: "TENANT", Width: 8, Cell: func(e *eventquery.Event) string { return e.Tenant }},
			terminal.Column[eventquery.Event]{Title: "ID", Width: 36, Cell: func(e *eventquery.Event) string { return e.ID.String() }},
			terminal.Column[eventquery.Event]{Title: "TELLS OF", Cell: tellsOf},
		),
		status: terminal.NewStatus(cctx.App.ErrWriter), began: time.Now(), shows: terminal.IsTerminal(cctx.App.ErrWriter),
	}
}

// reading is shown of what takes longer than a second.
func (l *eventLines) reading(read, all int64) {
	if l.shows && time.Since(l.began) > time.Second {
		l.status.Say(wording.Sprintf("read %d of %d places of the log, %d events match", read, all, l.written))
	}
}

func (l *eventLines) write(events []eventquery.Event) error {
	l.status.End()
	l.written += int64(len(events))
	err := l.Write(events)
	if terminal.IsPipe(err) {
		l.gone = true
	}
	return err
}

// end closes what was written. A reader that has gone has got what it wanted.
func (l *eventLines) end(err error) error {
	l.status.End()
	if l.gone {
		return nil
	}
	if l.written > 0 || err == nil {
		if closing := l.End(); err == nil && !terminal.IsPipe(closing) {
			err = closing
		}
	}
	return err
}

func (l *eventLines) unreadable(cctx *cli.Context, r eventquery.Result) {
	if r.Unreadable > 0 {
		terminal.Say(cctx, "%s left out: PostgreSQL cannot read the body as JSON", wording.Count(int64(r.Unreadable), "event"))
	}
}

// telling are the fields of a payload that say what an event tells of, in the order in which they are shown.
type telling struct {
	Payload struct {
		Number        string      `json:"poNumber"`
		Order         string      `json:"purchaseOrderId"`
		Sale          string      `json:"saleId"`
		Receipt       string      `json:"receiptId"`
		Transfer      string      `json:"transferId"`
		Adjustment    string      `json:"adjustmentId"`
		Count         string      `json:"countId"`
		Item          string      `json:"itemId"`
		Location      string      `json:"locationId"`
		From          string      `json:"fromLocationId"`
		To            string      `json:"toLocationId"`
		Quantity      json.Number `json:"quantity"`
		Kind          string      `json:"transactionType"`
		OnHand        json.Number `json:"onHand"`
		ReorderPoint  json.Number `json:"reorderPoint"`
		ApprovedBy    string      `json:"approvedBy"`
		CancelledBy   string      `json:"cancelledBy"`
		ForecastStart string      `json:"startDate"`
	} `json:"payload"`
}

// tellsOf is what an event tells of, in a few words. Fields of another kind than the catalogue's are left out.
func tellsOf(e *eventquery.Event) string {
	var t telling
	_ = json.Unmarshal(e.Body, &t)
	p := &t.Payload
	if p.Number != "" {
		p.Order = ""
	}
	if p.From != "" {
		p.Location = p.From + " to " + p.To
	} else if p.To != "" {
		p.Location += " to " + p.To
	}
	words := []string{p.Number, p.Sale, p.Receipt, p.Transfer, p.Adjustment, p.Count, p.Order, p.Item, p.Location, strings.ToLower(p.Kind), p.Quantity.String()}
	for _, named := range [][2]string{{"on hand", p.OnHand.String()}, {"at or below", p.ReorderPoint.String()}, {"by", p.ApprovedBy + p.CancelledBy}, {"from", p.ForecastStart}} {
		if named[1] != "" {
			words = append(words, named[0]+" "+named[1])
		}
	}
	shown := words[:0]
	for _, w := range words {
		if w != "" {
			shown = append(shown, w)
		}
	}
	return wording.OneLine(strings.Join(shown, " "))
}
