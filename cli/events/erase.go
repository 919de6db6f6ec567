package events

import (
	"bufio"
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	kept "github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/erasure"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/store/seal"
	"github.com/composerp/composerp/store/stream"
)

const (
	flagFields      = "fields"
	flagFromFile    = "from-file"
	flagWithDerived = "with-derived"
	flagYes         = "yes"
)

func eraseCommand() *cli.Command {
	return &cli.Command{
		Name: "erase", Usage: "erase fields of events, for a law or a contract; the log stays provable", ArgsUsage: "[EVENT-ID...]",
		Description: "Erases fields of the payload or of metadata in the log, in closed dead letters and, with --archives, in archives. Name\n" +
			"the events by their ids (- reads them from stdin), or by conditions. Figures do not change: only names, notes, metadata.userId\n" +
			"and fields that no schema of Composerp names can be erased; '*' stands for all of these. `events verify` then reads such an event\n" +
			"as erased, not as edited: sign with the key of audits, for without a signature an edit can be made to look like an erasure.\n" +
			"It refuses events that a worker has still to handle. It works as the owner of the database's tables. Begin with --dry-run;\n" +
			"after a crash, repeat the command. There is no way back. docs/howto/erase-personal-data.md names what it does not reach.\n\n" +
			"   composerp events erase --where 'payload.customerId == \"17850\"' --fields payload.customerId --reason 'GDPR 17, request 12' --dry-run",
		Flags: selectFlags(
			&cli.StringSliceFlag{Name: flagFields, Usage: "the fields, separated by commas: payload.customerId, payload.lines.note, metadata.userId; '*': all that can be erased"},
			&cli.PathFlag{Name: flagFromFile, Usage: "the events of a `FILE`: an id a line; or erase again what `composerp events erasures -o json` has written, after a restore"},
			&cli.BoolFlag{Name: flagWithDerived, Usage: "erase it in the events too that follow from these: they carry on metadata.userId"},
			&cli.PathFlag{Name: flagSigningKey, Usage: "sign with the key that audits sign with, a `FILE` made by: composerp events signing-key FILE"},
			archive.Flag(),
			&cli.BoolFlag{Name: settings.FlagDryRun, Usage: "change nothing; show what would be erased, and what is refused"},
			&cli.BoolFlag{Name: flagYes, Usage: "do not ask"},
			settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
			terminal.OutputFlag(), settings.FlagOf(settings.FlagDatabase), settings.FlagOf(settings.FlagDir),
		),
		Action: settings.On(eraseAsOwner, eraseAsked, erase),
	}
}

func erasuresCommand() *cli.Command {
	return &cli.Command{
		Name: "erasures", Usage: "list erasures: the event, which fields, when, by whom and why",
		Description: "Keep its JSON outside the database: a backup of before has what was erased since, and after a restore\n" +
			"`composerp events erase --from-file` erases it again.",
		Flags: settings.DatabaseFlags(), Action: settings.OnSchema("events", 1, settings.Nothing, listErasures),
	}
}

func eraseAsOwner(cctx *cli.Context) (*store.DB, error) {
	db, _, err := settings.OpenSchemaAs(cctx, grants.Migrator, "events", 2)
	return db, err
}

// order is one thing to erase: fields of events, for a reason.
type order struct {
	fields []string
	reason string
	ids    []uuid.UUID
	filter *eventquery.Filter // instead of ids
}

// erasing is what to erase.
type erasing struct {
	orders []order
	key    ed25519.PrivateKey
}

func eraseAsked(cctx *cli.Context) (erasing, error) {
	e, err := ordersAsked(cctx)
	if err == nil && !cctx.Bool(settings.FlagDryRun) && !cctx.Bool(flagYes) && !terminal.CanAsk(cctx) {
		err = exit.Usage("what is erased cannot be brought back: look with --%s, then give --%s", settings.FlagDryRun, flagYes)
	}
	return e, err
}

// ordersAsked reads what to erase.
func ordersAsked(cctx *cli.Context) (e erasing, err error) {
	if path := cctx.Path(flagSigningKey); path != "" {
		if e.key, err = seal.ReadPrivateKey(path); err != nil {
			return e, exit.Misconfigured("--%s: %w", flagSigningKey, err)
		}
	}
	o := order{reason: strings.TrimSpace(cctx.String(settings.FlagReason)), fields: cctx.StringSlice(flagFields)}
	if o.ids, e.orders, err = idsAsked(cctx); err != nil || len(e.orders) > 0 {
		return e, err
	}
	if len(o.fields) == 0 {
		return e, exit.Usage("name the fields: --%s payload.customerId, or '%s' for all that can be erased", flagFields, erasure.All)
	}
	for _, field := range o.fields {
		if err := erasure.CheckField(field); err != nil {
			return e, exit.Usage("--%s: %w", flagFields, err)
		}
	}
	if o.reason == "" && !cctx.Bool(settings.FlagDryRun) {
		return e, exit.Usage("--%s: %w", settings.FlagReason, erasure.ErrReason)
	}
	filter, err := filterAsked(cctx)
	if err != nil {
		return e, err
	}
	switch given := conditionsGiven(cctx); {
	case given && len(o.ids) > 0:
		return e, exit.Usage("name events by their ids or by conditions, not by both")
	case given:
		o.filter = &filter
	case len(o.ids) == 0:
		return e, exit.Usage("name the events: composerp events erase EVENT-ID, or a condition such as --where 'payload.customerId == \"17850\"'")
	}
	e.orders = []order{o}
	return e, nil
}

// conditionsGiven tells whether one of selectFlags is given.
func conditionsGiven(cctx *cli.Context) bool {
	return slices.ContainsFunc(selectFlags(), func(f cli.Flag) bool { return cctx.IsSet(f.Names()[0]) })
}

// idsAsked reads the ids of the line, of stdin and of --from-file; or orders, of a list of erasures.
func idsAsked(cctx *cli.Context) (ids []uuid.UUID, orders []order, err error) {
	for _, arg := range cctx.Args().Slice() {
		if arg == "-" {
			more, err := idsOf(cctx.App.Reader)
			if err != nil {
				return nil, nil, err
			}
			ids = append(ids, more...)
			continue
		}
		id, err := uuid.Parse(arg)
		if err != nil {
			return nil, nil, exit.Usage("%q is no event's id; `composerp events trace` finds events by what they tell of", arg)
		}
		ids = append(ids, id)
	}
	path := cctx.Path(flagFromFile)
	if path == "" {
		return ids, nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, exit.Usage("--%s: %w", flagFromFile, err)
	}
	if !strings.HasPrefix(strings.TrimSpace(string(text)), "[") {
		more, err := idsOf(strings.NewReader(string(text)))
		return append(ids, more...), nil, err
	}
	var list []erasure.Erasure
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, nil, exit.Usage("--%s: %s is no list of `composerp events erasures -o json`: %w", flagFromFile, path, err)
	}
	if len(ids) > 0 || conditionsGiven(cctx) || cctx.IsSet(flagFields) {
		return nil, nil, exit.Usage("--%s: the list names the events and their fields; give no others", flagFromFile)
	}
	if orders = ordersOf(list); len(orders) == 0 {
		return nil, nil, exit.Usage("--%s: %s lists no erasure", flagFromFile, path)
	}
	return nil, orders, nil
}

// ordersOf are erasures of a list, those with the same fields and reason together.
func ordersOf(list []erasure.Erasure) (orders []order) {
	at := map[string]int{}
	for _, e := range list {
		key := strings.Join(e.Fields, ",") + "\n" + e.Reason
		i, known := at[key]
		if !known {
			i = len(orders)
			at[key] = i
			orders = append(orders, order{fields: e.Fields, reason: e.Reason})
		}
		orders[i].ids = append(orders[i].ids, e.EventID)
	}
	return orders
}

// idsOf reads an id a line; empty lines and those that begin with # do not count.
func idsOf(from io.Reader) (ids []uuid.UUID, err error) {
	lines := bufio.NewScanner(from)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, exit.Usage("line %d is no event's id: %q", n, wording.Shortened(text, 60))
		}
		ids = append(ids, id)
	}
	return ids, lines.Err()
}

// erasedShown is what `events erase` shows.
type erasedShown struct {
	DryRun bool `json:"dryRun"`
	erasure.Report
	// Derived is how many events follow from these; they are among Events with --with-derived.
	Derived int64 `json:"derived"`
	// StreamUntil is when composerp.stream has dropped the original of the last of them.
	StreamUntil *time.Time `json:"streamUntil,omitempty"`
}

func erase(cctx *cli.Context, db *store.DB, e erasing) error {
	folder, err := archive.Given(cctx.Context, cctx, db)
	if err != nil {
		return err
	}
	if folder != nil {
		defer folder.Close()
	}
	shown := erasedShown{DryRun: cctx.Bool(settings.FlagDryRun), Report: erasure.Report{Changes: []erasure.Change{}, Archives: []string{}}}
	for _, o := range e.orders {
		var seqs []int64
		if seqs, err = o.find(cctx, db, folder); err != nil {
			return err
		}
		if err = e.carryOut(cctx, db, o, seqs, &shown); err != nil && !errors.Is(err, erasure.ErrRefused) {
			return err
		}
		if err != nil {
			break
		}
	}
	setting, failed := stream.Read(cctx.Context, db)
	if failed != nil {
		return failed
	}
	if setting.On {
		until := time.Now().Add(time.Duration(setting.MaxAgeSeconds) * time.Second).UTC().Truncate(time.Second)
		shown.StreamUntil = &until
	}
	if failed := terminal.Show(cctx, shown, func(w io.Writer) { shown.table(w, cctx, e) }); failed != nil {
		return failed
	}
	return err
}

// find finds the positions of an order's events.
func (o *order) find(cctx *cli.Context, db *store.DB, folder *kept.Folder) (seqs []int64, err error) {
	if o.filter != nil {
		q := eventquery.Query{Filter: *o.filter, Archives: folder}
		if err := archive.Tell(cctx, db, &q); err != nil {
			return nil, err
		}
		_, err := eventquery.Each(cctx.Context, db, q, func(events []eventquery.Event) error {
			for i := range events {
				seqs = append(seqs, events[i].Seq)
			}
			return nil
		})
		return seqs, filterError(cctx, err)
	}
	seqs, missing, err := erasure.Positions(cctx.Context, db, o.ids)
	if err == nil && len(missing) > 0 && folder != nil {
		var more []int64
		more, missing, err = erasure.ArchivedAt(folder, missing)
		seqs = append(seqs, more...)
	}
	if err != nil || len(missing) == 0 {
		return seqs, err
	}
	cut, err := kept.Cut(cctx.Context, db)
	if err != nil {
		return nil, err
	}
	hint := ""
	if cut > 0 && folder == nil {
		hint = "; archives may have it: --archives DIRECTORY"
	}
	if cctx.Path(flagFromFile) != "" {
		terminal.Say(cctx, "the log has not %s of the file, such as %s%s", wording.Count(int64(len(missing)), "event"), missing[0], hint)
		return seqs, nil
	}
	return nil, exit.Usage("the log has no event %s%s", missing[0], hint)
}

// carryOut erases, or looks, and adds to what is shown.
func (e erasing) carryOut(cctx *cli.Context, db *store.DB, o order, seqs []int64, shown *erasedShown) error {
	if erasure.CarriesOn(o.fields) {
		derived, err := erasure.Derived(cctx.Context, db, seqs)
		if err != nil {
			return err
		}
		if shown.Derived += int64(len(derived)); cctx.Bool(flagWithDerived) {
			seqs = append(seqs, derived...)
		}
	}
	by := settings.By(cctx)
	by.Reason = cmp.Or(strings.TrimSpace(by.Reason), o.reason)
	progress := terminal.NewStatus(cctx.App.ErrWriter)
	cfg := erasure.Config{DB: db, Fields: o.fields, By: by, Key: e.key, Now: time.Now(), Archives: cctx.Path(archive.FlagArchives), Progress: func(step string, done, of int64) {
		progress.Say(wording.Sprintf("%d of %d events are "+step, done, of))
	}}
	run := cfg.Plan
	if !shown.DryRun {
		question := wording.Sprintf("Erase %s of %s, for ever?", strings.Join(o.fields, ", "), wording.Count(int64(len(seqs)), "event"))
		if len(seqs) > 0 && !cctx.Bool(flagYes) && !terminal.Confirm(cctx, question) {
			return exit.Usage("nothing was erased")
		}
		run = cfg.Run
	}
	r, err := run(cctx.Context, seqs)
	progress.End()
	shown.Add(r)
	return err
}

func (s *erasedShown) table(w io.Writer, cctx *cli.Context, e erasing) {
	done := "erased"
	switch {
	case s.DryRun:
		done = "would be erased"
	case s.Refused > 0:
		done = "not erased, for others are refused"
	}
	terminal.Row(w, "events asked for", s.Events)
	var fields []string
	for _, o := range e.orders {
		fields = append(fields, o.fields...)
	}
	slices.Sort(fields)
	terminal.Row(w, done, wording.Sprintf("%s of %s", strings.Join(slices.Compact(fields), ", "), wording.Count(s.Erased, "event")))
	for _, line := range []struct {
		what string
		n    int64
		more string
	}{
		{"  in archives", s.Archived, "the files: " + strings.Join(s.Archives, ", ")},
		{"  and in closed dead letters", s.DeadLetters, ""},
		{"  have an erased value in another field too", s.Still, "look at them, and name that field as well"},
		{"signed", s.Signed, ""},
		{"have none of the fields", s.Without, ""},
		{"refused", s.Refused, ""},
	} {
		if line.n > 0 {
			terminal.Row(w, line.what, line.n, line.more)
		}
	}
	if s.Derived > 0 && !cctx.Bool(flagWithDerived) {
		terminal.Row(w, "follow from these", s.Derived, "--"+flagWithDerived+" erases it in them too")
	}
	if s.StreamUntil != nil {
		terminal.Row(w, "composerp.stream", "has the originals until "+terminal.Moment(*s.StreamUntil)+" at the latest")
	}
	if !s.DryRun && s.Erased > 0 && s.Refused == 0 && e.key == nil {
		terminal.Row(w, "not signed", "the same command with --"+flagSigningKey+" signs it")
	}
	if len(s.Changes) == 0 {
		return
	}
	fmt.Fprintln(w)
	terminal.Table(w, s.Changes, []any{"POSITION", "EVENT", "TYPE", "TENANT", "FIELDS", "PROBLEM"}, func(c *erasure.Change) []any {
		return []any{placeOr(c.Seq), c.EventID, c.Type, c.Tenant, cmp.Or(strings.Join(c.Fields, ", "), "-"), cmp.Or(c.Problem, "-")}
	})
	if more := s.Erased + s.Refused - int64(len(s.Changes)); more > 0 {
		fmt.Fprintln(w, wording.Sprintf("and %d more", more))
	}
}

func listErasures(cctx *cli.Context, db *store.DB, _ struct{}) error {
	list, err := erasure.List(cctx.Context, db)
	if err != nil {
		return err
	}
	return terminal.ShowRows(cctx, list, []any{"POSITION", "EVENT", "TYPE", "TENANT", "FIELDS", "ERASED", "BY", "SIGNED", "REASON"}, func(e *erasure.Erasure) []any {
		return []any{placeOr(e.Seq), e.EventID, e.Type, e.Tenant, strings.Join(e.Fields, ", "), terminal.Moment(e.ErasedAt), e.Operator, terminal.YesNo(len(e.Signature) > 0), wording.OneLine(e.Reason)}
	})
}
