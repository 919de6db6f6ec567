package masterdata

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/workers/runtime/importer"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// FileForms are the file formats of an import, for help texts.
const FileForms = "FILE is " + rowfile.Names + "."

func (m masterData[T]) importCommand() *cli.Command {
	flags := slices.Concat([]cli.Flag{settings.FlagOf(settings.FlagTenant)}, m.atFlag(), FormatFlags(), byFlags())
	return &cli.Command{
		Name:      "import",
		Usage:     "make and change " + m.plural + " from a file",
		ArgsUsage: "FILE",
		Description: FileForms + " Its columns:\n\n" + DescribeFields(m.fields) + "\n" +
			"Names may be written in any case and with underscores. What has no column stays as it is; an empty value\n" +
			"takes a value away. The whole file is checked first: nothing is written while a line of it is wrong. The same\n" +
			"file again changes nothing.",
		Flags:  settings.DatabaseFlags(append(flags, &cli.BoolFlag{Name: settings.FlagDryRun, Usage: "check the file and tell what it would do"})...),
		Action: m.importFile,
	}
}

// DescribeFields lists the columns of a file, for help texts.
func DescribeFields[T any](fields []Field[T]) string {
	text := ""
	for _, f := range fields {
		text += fmt.Sprintf("   %-20s %s\n", f.name, f.usage)
	}
	return text
}

// masterReport is what became of a file of master data.
type masterReport struct {
	File string `json:"file"`
	Rows int64  `json:"rows"`
	masterdata.Written
	// DryRun: nothing was written.
	DryRun bool `json:"dryRun"`
}

func (m masterData[T]) importFile(cctx *cli.Context) error {
	if cctx.NArg() != 1 {
		return exit.Usage("name one file to import: %s FILE", cctx.Command.HelpName)
	}
	at, err := terminal.ReadTime(FlagAt, cctx.String(FlagAt), time.Now())
	if err != nil {
		return err
	}
	sheet, err := OpenSheet(cctx, m.fields, m.shown)
	if err != nil {
		return err
	}
	defer sheet.Close()
	sheet.Tenant, sheet.Key = cctx.String(settings.FlagTenant), func(row *T) []string {
		k := masterdata.KeyFilter(row)
		return []string{k.Tenant, k.Item, k.Location, k.Supplier}
	}
	db, _, err := settings.OpenSchema(cctx, m.noun, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	sheet.Apply = func(edits []masterdata.Edit[T], dryRun bool) (masterdata.Written, error) {
		return m.apply(cctx.Context, db, edits, at, dryRun)
	}
	sheet.Note = func(w masterdata.Written) error {
		return operatorlog.NoteAlone(cctx.Context, db, settings.By(cctx), m.noun+" import", filepath.Base(sheet.File), nil, w)
	}
	written, err := sheet.Run(cctx, m.noun)
	if err != nil {
		return err
	}
	report := masterReport{File: sheet.File, Rows: sheet.Rows, Written: written, DryRun: cctx.Bool(settings.FlagDryRun)}
	return terminal.Show(cctx, report, func(w io.Writer) {
		terminal.Row(w, report.File, "")
		terminal.Row(w, "  rows", report.Rows)
		terminal.Row(w, "  new", report.New)
		terminal.Row(w, "  changed", report.Changed)
		terminal.Row(w, "  unchanged", report.Unchanged)
		if report.DryRun {
			terminal.Row(w, "  nothing was written", "")
		}
	})
}

// Run checks the whole file, and then, unless that is all that is wanted, writes it.
func (s *Sheet[T]) Run(cctx *cli.Context, noun string) (masterdata.Written, error) {
	return s.run(cctx, noun, cctx.Bool(settings.FlagDryRun))
}

func (s *Sheet[T]) run(cctx *cli.Context, noun string, dryRun bool) (masterdata.Written, error) {
	progress := terminal.NewProgress(cctx.App.ErrWriter)
	defer progress.End()
	s.progress = progress.Importing
	written, err := s.check(cctx.Context, noun)
	if err != nil {
		if cctx.Context.Err() != nil {
			return written, errors.New("interrupted; nothing was written")
		}
		progress.End() // before words are written where it stands
		for _, problem := range s.problems {
			terminal.Say(cctx, "%v", problem)
		}
		return written, err
	}
	if dryRun {
		return written, nil
	}
	if s.Note != nil && written.New+written.Changed > 0 {
		if err := s.Note(written); err != nil {
			return written, err
		}
	}
	written, err = s.read(cctx.Context, importer.PhaseWrite, false, func(int64, *T) error { return nil })
	if err != nil && cctx.Context.Err() != nil {
		return written, errors.New("interrupted; the same command goes on, and changes nothing of what was done")
	}
	return written, err
}
