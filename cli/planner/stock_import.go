package planner

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/masterdata"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	storemasterdata "github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/operatorlog"
)

// countSource is who says what was counted.
const countSource = "stock-import"

// countedLine is a line of a count: so much of an item was found at a location.
type countedLine struct {
	tenant, item, location string
	quantity               *event.Decimal
	line                   int64
}

func stockImportCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "import the result of a stock count from a file",
		ArgsUsage: "FILE",
		Description: masterdata.FileForms + " Its columns:\n\n" + masterdata.DescribeFields(countFields()) + "\n" +
			"Each line becomes a STOCK_COUNTED, through the log. The whole file is checked first. The same file again\n" +
			"changes nothing, unless --at gives another business time.",
		Flags: settings.DatabaseFlags(append(masterdata.FormatFlags(),
			settings.FlagOf(settings.FlagTenant),
			&cli.StringFlag{Name: masterdata.FlagAt, Usage: "business time of the count; default the time of the first import"},
			&cli.BoolFlag{Name: settings.FlagDryRun, Usage: "only check the file"},
			settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
		)...),
		Action: stockImport,
	}
}

func countFields() []masterdata.Field[countedLine] {
	return []masterdata.Field[countedLine]{
		masterdata.KeyField(masterdata.TenantColumn, "the tenant it belongs to", func(l *countedLine) *string { return &l.tenant }),
		masterdata.KeyField("itemId", "which item", func(l *countedLine) *string { return &l.item }),
		masterdata.KeyField("locationId", "at which location", func(l *countedLine) *string { return &l.location }),
		masterdata.OptionalField("quantity", "counted quantity, 0 or more", func(l *countedLine) **event.Decimal { return &l.quantity }),
	}
}

// countReport is what became of a count.
type countReport struct {
	File string `json:"file"`
	Rows int64  `json:"rows"`
	// Counted are in the log by this import, and CountedBefore by an earlier one of the same file.
	Counted       int       `json:"counted"`
	CountedBefore int       `json:"countedBefore"`
	At            time.Time `json:"at"`
	DryRun        bool      `json:"dryRun"`
}

func stockImport(cctx *cli.Context) error {
	if cctx.NArg() != 1 {
		return exit.Usage("name one file to import: %s FILE", cctx.Command.HelpName)
	}
	now, err := terminal.ReadTime(masterdata.FlagAt, cctx.String(masterdata.FlagAt), time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return err
	}
	s, err := masterdata.OpenSheet(cctx, countFields(), nil)
	if err != nil {
		return err
	}
	defer s.Close()
	db, _, err := settings.OpenSchema(cctx, "stock", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	c := &count{ctx: cctx.Context, db: db, sheet: s, at: now, given: cctx.String(masterdata.FlagAt) != ""}
	s.Tenant, s.Apply = cctx.String(settings.FlagTenant), c.apply
	s.Key = func(l *countedLine) []string { return []string{l.tenant, l.item, l.location} }
	s.Note = func(storemasterdata.Written) error {
		return operatorlog.NoteAlone(cctx.Context, db, settings.By(cctx), "stock import", filepath.Base(s.File), nil, map[string]int64{"rows": s.Rows})
	}
	s.Place = func(l *countedLine, line int64) { l.line = line }
	written, err := s.Run(cctx, "count")
	if err != nil {
		return err
	}
	report := countReport{File: s.File, Rows: s.Rows, Counted: written.New, CountedBefore: written.Unchanged, At: c.at, DryRun: cctx.Bool(settings.FlagDryRun)}
	return terminal.Show(cctx, report, func(w io.Writer) { showCount(w, report) })
}

func showCount(w io.Writer, r countReport) {
	terminal.Row(w, r.File, "")
	terminal.Row(w, "  rows", r.Rows)
	if r.DryRun {
		terminal.Row(w, "  nothing was written", "")
		return
	}
	terminal.Row(w, "  counted", r.Counted)
	terminal.Row(w, "  counted before", r.CountedBefore)
	terminal.Row(w, "  at", r.At.Format(time.RFC3339))
}

// count brings the lines of a count into the log. An event's id follows from the
// file's content, its line and, where it was given, the time of the count: so the
// same count is said once, however often it is imported.
type count struct {
	ctx   context.Context
	db    *store.DB
	sheet *masterdata.Sheet[countedLine]
	at    time.Time
	given bool // the time is the command line's
	begun bool
}

// apply checks lines, or says what they counted.
func (c *count) apply(edits []storemasterdata.Edit[countedLine], dryRun bool) (storemasterdata.Written, error) {
	var written storemasterdata.Written
	if len(edits) == 0 {
		return written, nil
	}
	lines := make([]countedLine, len(edits))
	for i, e := range edits {
		lines[i] = e.Of
		e.Change(&lines[i])
	}
	if !dryRun {
		if err := c.takeUp(&lines[0]); err != nil {
			return written, err
		}
	}
	events := make([]event.Any, len(lines))
	for i := range lines {
		var err error
		if events[i], err = c.event(&lines[i]); err != nil {
			return written, about(i, err)
		}
	}
	if dryRun {
		return storemasterdata.Written{New: len(lines)}, nil
	}
	verdicts, err := eventlog.AdmitOnce(c.ctx, c.db, events, true)
	for i, v := range verdicts {
		switch v {
		case eventlog.Admitted:
			written.New++
		case eventlog.Untimely:
			return written, about(i, &storemasterdata.InvalidError{Field: masterdata.FlagAt, Problem: eventlog.TimeError(events[i]).Error()})
		default:
			written.Unchanged++ // another body under this id can only be the same count at another now
		}
	}
	return written, err
}

// takeUp goes on with the time of an earlier import of the same file, which may
// have been interrupted: all of a count has one time.
func (c *count) takeUp(first *countedLine) error {
	if c.given || c.begun {
		return nil
	}
	before, err := eventlog.EntryByID(c.ctx, c.db, c.id(first))
	if err == nil {
		c.at = before.OccurredAt.UTC()
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	c.begun = true
	return nil
}

// countID is the count as a whole; while the file is only checked it is any id.
func (c *count) countID(tenant string) string {
	sum, at := c.sheet.Table.SHA256(), ""
	if c.given {
		at = c.at.Format(time.RFC3339Nano)
	}
	return event.TimerID(countSource, tenant+"\x00"+hex.EncodeToString(sum[:]), at).String()
}

func (c *count) id(l *countedLine) uuid.UUID {
	return event.TimerID(countSource, c.countID(l.tenant), strconv.FormatInt(l.line, 10))
}

func (c *count) event(l *countedLine) (event.Any, error) {
	if l.quantity == nil {
		return event.Any{}, &storemasterdata.InvalidError{Field: "quantity", Problem: "missing"}
	}
	if storemasterdata.IsVirtual(l.location) {
		return event.Any{}, &storemasterdata.InvalidError{Field: "locationId", Problem: fmt.Sprintf("%q: names that begin with @ are the ledger's own", l.location)}
	}
	id := c.countID(l.tenant)
	return event.Encode(event.Envelope{
		ID: c.id(l), AggregateID: id, TenantID: l.tenant, Timestamp: c.at, Metadata: event.Metadata{Source: countSource, CorrelationID: id},
	}, event.StockCounted{CountID: id, ItemID: l.item, LocationID: l.location, Quantity: *l.quantity})
}

// about says which line an error is about.
func about(index int, err error) error {
	if bad, ok := errors.AsType[*storemasterdata.InvalidError](err); ok {
		bad.Index = index
		return bad
	}
	if field, ok := errors.AsType[*event.FieldError](err); ok {
		return &storemasterdata.InvalidError{Index: index, Field: strings.TrimPrefix(field.Field, "payload."), Problem: field.Problem}
	}
	return err
}
