// Package masterdata has the commands that list, set and import items, locations, suppliers, rules and tenants.
package masterdata

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/operatorlog"
)

// masterData is one kind of what planners keep, as a command with import, list and set.
type masterData[T any] struct {
	noun, plural string
	usage        string
	fields       []Field[T]
	// shown are columns that list prints and no command sets: import ignores them.
	shown []string
	// filters of list, beside the tenant.
	filters []cli.Flag
	// settingsOnly: there are too few to import.
	settingsOnly bool
	edit         func(ctx context.Context, db *store.DB, edits []masterdata.Edit[T], dryRun bool) (masterdata.Written, error)
	// editAt stands instead of edit where a change has a business time.
	editAt func(ctx context.Context, db *store.DB, edits []masterdata.Edit[T], at time.Time, dryRun bool) (masterdata.Written, error)
	list   func(ctx context.Context, db *store.DB, f masterdata.Filter) ([]T, error)
	// hide, where it is set, takes out of a row what is secret, as list does.
	hide   func(*T)
	header []any
	cells  func(*T) []any
}

// FlagAt is the flag of a change's business time.
const FlagAt = "at"

// listLimit is the default number of rows in a list.
const listLimit = 1000

func (m masterData[T]) command() *cli.Command {
	c := &cli.Command{Name: m.noun, Usage: m.usage}
	if !m.settingsOnly {
		c.Subcommands = append(c.Subcommands, m.importCommand())
	}
	c.Subcommands = append(c.Subcommands, m.listCommand(), m.setCommand())
	return c
}

func (m masterData[T]) listCommand() *cli.Command {
	flags := append([]cli.Flag{&cli.StringFlag{Name: "tenant", Usage: "this tenant only"}}, m.filters...)
	return &cli.Command{
		Name:   "list",
		Usage:  "show " + m.plural,
		Flags:  settings.DatabaseFlags(append(flags, &cli.IntFlag{Name: "limit", Value: listLimit, Usage: "at most this many; 0: all"})...),
		Action: settings.OnSchema(m.noun, 1, terminal.Limit, m.listRows),
	}
}

func (m masterData[T]) listRows(cctx *cli.Context, db *store.DB, limit int) error {
	rows, err := terminal.Limited(cctx, limit, "the first %d "+m.plural, func(most int) ([]T, error) {
		return m.list(cctx.Context, db, masterdata.Filter{
			Tenant: cctx.String("tenant"), Item: cctx.String("item"), Location: cctx.String("location"), Supplier: cctx.String("supplier"),
			Incomplete: cctx.Bool("incomplete"), Limit: most,
		})
	})
	if err != nil {
		return err
	}
	return terminal.ShowRows(cctx, rows, m.header, m.cells)
}

func (m masterData[T]) setCommand() *cli.Command {
	flags := []cli.Flag{settings.FlagOf(settings.FlagTenant)}
	for _, f := range m.fields {
		if f.flag() != settings.FlagTenant {
			flags = append(flags, &cli.StringFlag{Name: f.flag(), Usage: f.usage})
		}
	}
	return &cli.Command{
		Name:        "set",
		Usage:       "create or change one " + m.noun,
		Description: "Only the given fields change. An empty value, as in --name '', removes a value.",
		Flags:       settings.DatabaseFlags(slices.Concat(flags, m.atFlag(), byFlags())...),
		Action:      m.set,
	}
}

func (m masterData[T]) atFlag() []cli.Flag {
	if m.editAt == nil {
		return nil
	}
	return []cli.Flag{&cli.StringFlag{Name: FlagAt, Usage: "business time of the change where no event has moved the clock yet; default now"}}
}

// byFlags say who changes something and why, for the operator log.
func byFlags() []cli.Flag {
	return []cli.Flag{settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator)}
}

func (m masterData[T]) set(cctx *cli.Context) error {
	if cctx.NArg() > 0 {
		return exit.Usage("`%s` takes no argument, got %q; it is named by %s", cctx.Command.HelpName, cctx.Args().First(), strings.Join(m.keyFlags(), " and "))
	}
	at, err := terminal.ReadTime(FlagAt, cctx.String(FlagAt), time.Now())
	if err != nil {
		return err
	}
	edit, err := m.typed(cctx)
	if err != nil {
		return err
	}
	db, _, err := settings.OpenSchema(cctx, m.noun, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	written, err := m.setOne(cctx, db, edit, at)
	if bad, ok := errors.AsType[*masterdata.InvalidError](err); ok {
		return exit.Usage("%s: %s", m.flagOf(bad.Field), bad.Problem)
	}
	if err != nil {
		return err
	}
	rows, err := m.list(cctx.Context, db, masterdata.KeyFilter(&edit.Of))
	if err != nil {
		return err
	}
	result := resultOf(written)
	return terminal.Show(cctx, map[string]any{"result": result, m.noun: rows[0]}, func(w io.Writer) {
		terminal.Table(w, rows, m.header, m.cells)
		terminal.Row(w, result)
	})
}

// setOne makes a change that is valid and changes something, after an entry in the operator log.
func (m masterData[T]) setOne(cctx *cli.Context, db *store.DB, edit masterdata.Edit[T], at time.Time) (masterdata.Written, error) {
	would, err := m.apply(cctx.Context, db, []masterdata.Edit[T]{edit}, at, true)
	if err != nil || would.New+would.Changed == 0 {
		return would, err
	}
	key := masterdata.KeyFilter(&edit.Of)
	rows, err := m.list(cctx.Context, db, key)
	if err != nil {
		return would, err
	}
	var before any
	after := edit.Of
	if len(rows) > 0 {
		before, after = rows[0], rows[0]
	}
	edit.Change(&after)
	if m.hide != nil {
		m.hide(&after)
	}
	subject := strings.Join(slices.DeleteFunc([]string{key.Tenant, key.Item, key.Location, key.Supplier}, func(s string) bool { return s == "" }), " ")
	if err := operatorlog.NoteAlone(cctx.Context, db, settings.By(cctx), m.noun+" set", subject, before, after); err != nil {
		return would, err
	}
	return m.apply(cctx.Context, db, []masterdata.Edit[T]{edit}, at, false)
}

func (m masterData[T]) apply(ctx context.Context, db *store.DB, edits []masterdata.Edit[T], at time.Time, dryRun bool) (masterdata.Written, error) {
	if m.editAt != nil {
		return m.editAt(ctx, db, edits, at, dryRun)
	}
	return m.edit(ctx, db, edits, dryRun)
}

func resultOf(w masterdata.Written) string {
	switch {
	case w.New > 0:
		return "new"
	case w.Changed > 0:
		return "changed"
	}
	return "unchanged"
}

// typed is the edit of the flags.
func (m masterData[T]) typed(cctx *cli.Context) (masterdata.Edit[T], error) {
	var edit masterdata.Edit[T]
	var changes []func(*T)
	var others []string
	for _, f := range m.fields {
		text := strings.TrimSpace(cctx.String(f.flag()))
		if f.key && text == "" {
			return edit, exit.Usage("--%s is missing: which %s is it?", f.flag(), m.noun)
		}
		if !f.key {
			others = append(others, "--"+f.flag())
			if !cctx.IsSet(f.flag()) {
				continue
			}
		}
		change, err := f.read(text)
		if err != nil {
			return edit, exit.Usage("--%s: %v", f.flag(), err)
		}
		if f.key {
			change(&edit.Of)
		} else {
			changes = append(changes, change)
		}
	}
	if len(changes) == 0 {
		return edit, exit.Usage("nothing to set: name at least one of %s", strings.Join(others, ", "))
	}
	edit.Change = func(row *T) {
		for _, change := range changes {
			change(row)
		}
	}
	return edit, nil
}

func (m masterData[T]) keyFlags() []string {
	var names []string
	for _, f := range m.fields {
		if f.key && f.flag() != settings.FlagTenant {
			names = append(names, "--"+f.flag())
		}
	}
	if names == nil {
		names = []string{"--" + settings.FlagTenant}
	}
	return names
}

// flagOf is the flag that a field is typed by.
func (m masterData[T]) flagOf(name string) string {
	if i := slices.IndexFunc(m.fields, func(f Field[T]) bool { return f.name == name }); i >= 0 {
		return "--" + m.fields[i].flag()
	}
	return name
}
