package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/store/masterdata"
)

const fileForms = "FILE is .csv (with a header line), .csv.gz, .ndjson or .ndjson.gz."

func (m masterData[T]) importCommand() *cli.Command {
	flags := append([]cli.Flag{tenantFlag()}, m.atFlag()...)
	return &cli.Command{
		Name:      "import",
		Usage:     "make and change " + m.plural + " from a file",
		ArgsUsage: "FILE",
		Description: fileForms + " Its columns:\n\n" + describeFields(m.fields) + "\n" +
			"Names may be written in any case and with underscores. What has no column stays as it is; an empty value\n" +
			"takes a value away. The whole file is checked first: nothing is written while a line of it is wrong. The same\n" +
			"file again changes nothing.",
		Flags: append(flags, &cli.BoolFlag{Name: flagDryRun, Usage: "check the file and tell what it would do"}, outputFlag(), databaseFlag(), dirFlag()),
		Action: func(cctx *cli.Context) error {
			if cctx.NArg() != 1 {
				return usage("name one file to import: %s FILE", cctx.Command.HelpName)
			}
			return m.importFile(cctx)
		},
	}
}

func describeFields[T any](fields []field[T]) string {
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
	at, err := readTime(flagAt, cctx.String(flagAt), time.Now())
	if err != nil {
		return err
	}
	sheet, err := openSheet(cctx.Args().First(), m.fields, m.shown)
	if err != nil {
		return err
	}
	defer sheet.close()
	sheet.tenant, sheet.key = cctx.String(flagTenant), func(row *T) []string {
		k := m.key(row)
		return []string{k.Tenant, k.Item, k.Location, k.Supplier}
	}
	db, _, err := openSchema(cctx, m.noun, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	sheet.apply = func(edits []masterdata.Edit[T], dryRun bool) (masterdata.Written, error) {
		return m.edit(cctx.Context, db, edits, at, dryRun)
	}
	written, err := sheet.run(cctx, m.noun)
	if err != nil {
		return err
	}
	report := masterReport{File: sheet.file, Rows: sheet.rows, Written: written, DryRun: cctx.Bool(flagDryRun)}
	return show(cctx, report, func(w io.Writer) {
		row(w, report.File, "")
		row(w, "  rows", report.Rows)
		row(w, "  new", report.New)
		row(w, "  changed", report.Changed)
		row(w, "  unchanged", report.Unchanged)
		if report.DryRun {
			row(w, "  nothing was written", "")
		}
	})
}

// run checks the whole file, and then, unless that is all that is wanted, writes it.
func (s *sheet[T]) run(cctx *cli.Context, noun string) (masterdata.Written, error) {
	progress := newProgress(cctx.App.ErrWriter)
	defer progress.end()
	s.progress = progress.importing
	written, err := s.check(cctx.Context, noun)
	if err != nil {
		if cctx.Context.Err() != nil {
			return written, errors.New("interrupted; nothing was written")
		}
		progress.end() // before words are written where it stands
		for _, problem := range s.problems {
			say(cctx, "%v", problem)
		}
		return written, err
	}
	if cctx.Bool(flagDryRun) {
		return written, nil
	}
	written, err = s.write(cctx.Context)
	if err != nil && cctx.Context.Err() != nil {
		return written, errors.New("interrupted; the same command goes on, and changes nothing of what was done")
	}
	return written, err
}
