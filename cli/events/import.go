package events

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/workers/runtime/importer"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// ImportCommand is the command `import`.
func ImportCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "import a file of sales, receipts or counts into the log",
		ArgsUsage: "FILE",
		Description: "FILE is " + rowfile.Names + ".\n" +
			"The mapping assigns columns to fields and says which rows are rejected; deploy/demo/online-retail.yaml is an\n" +
			"example. An .ndjson file without a mapping holds one event a line. Every row ends in the log or in\n" +
			"FILE.rejects.csv. After an interruption the same command resumes; importing a file twice changes nothing.\n" +
			"Where rules order, rows older than 30 days are named before the import begins, and a terminal asks whether they may\n" +
			"order; --history imports them without orders.",
		Flags: settings.DatabaseFlags(
			&cli.StringFlag{Name: "map", Aliases: []string{"m"}, Usage: "mapping of the columns, a YAML file"},
			&cli.StringFlag{Name: "rejects", Usage: "file for rejected rows; default FILE.rejects.csv"},
			&cli.BoolFlag{Name: "history", Usage: "rows of long ago: they move stock and demand, and order, forecast and report nothing"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only print the events to stdout, one a line"},
			&cli.BoolFlag{Name: "explain", Usage: "only show how the file is read: what its columns are for, the first rows as events, what the file seems to want"},
		),
		Action: importFile,
	}
}

func importFile(cctx *cli.Context) error {
	if cctx.NArg() != 1 {
		return exit.Usage("name one file to import: composerp import FILE --map MAP.yaml")
	}
	file := cctx.Args().First()
	mapping, err := LoadMapping(cctx, file)
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); err != nil {
		return exit.Usage("reading %s: %v", file, exit.Reason(err))
	}
	if cctx.Bool("explain") {
		return explain(cctx, file, mapping)
	}
	if cctx.Bool("dry-run") {
		return printEvents(cctx, file, mapping)
	}
	db, _, err := settings.OpenSchema(cctx, "import", 2)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := warnOfOldRows(cctx, db, file, mapping); err != nil {
		return err
	}
	progress := terminal.NewProgress(cctx.App.ErrWriter)
	report, err := importer.Run(cctx.Context, importer.Options{
		DB: db, File: file, Mapping: mapping, History: cctx.Bool("history"), Rejects: cctx.String("rejects"), Progress: progress.Importing,
	})
	progress.End()
	if err != nil {
		if cctx.Context.Err() != nil {
			return fmt.Errorf("interrupted after %d rows; the same command resumes there", report.Rows)
		}
		return err
	}
	if err := terminal.Show(cctx, report, func(w io.Writer) { showImport(w, report) }); err != nil {
		return err
	}
	return allRejected(report)
}

// allRejected is the error of a file without a row that became an event: most likely it is not the mapping's.
func allRejected(r importer.Report) error {
	if r.Rows == 0 || r.RejectedTotal() < r.Rows {
		return nil
	}
	most := ""
	for _, reason := range slices.Sorted(maps.Keys(r.Rejected)) {
		if most == "" || r.Rejected[reason] > r.Rejected[most] {
			most = reason
		}
	}
	see := ""
	if r.RejectsFile != "" {
		see = "see " + r.RejectsFile + ", and "
	}
	return fmt.Errorf("importing %s: all %d rows were rejected, %d of them by %s; %shold the mapping against the file by --explain",
		r.File, r.Rows, r.Rejected[most], most, see)
}

// LoadMapping reads the mapping of --map.
func LoadMapping(cctx *cli.Context, file string) (*importer.Mapping, error) {
	path := cctx.String("map")
	if path != "" {
		mapping, err := importer.LoadMapping(path)
		if err != nil {
			return nil, exit.Misconfigured("%w", err)
		}
		return mapping, nil
	}
	if importer.NeedsMapping(file) {
		return nil, exit.Usage("--map is missing: the mapping assigns the columns of %s to fields", file)
	}
	return nil, nil
}

func printEvents(cctx *cli.Context, file string, mapping *importer.Mapping) error {
	out := bufio.NewWriterSize(cctx.App.Writer, 1<<16)
	var counts importer.Tally
	err := importer.Read(cctx.Context, file, mapping, func(r importer.Row) error {
		if counts.Rows++; r.Reject != nil {
			counts.Reject(r.Reject.Reason)
			return nil
		}
		e := r.Event
		if cctx.Bool("history") {
			var err error
			if e, err = importer.AsHistory(e); err != nil {
				return err
			}
		}
		if _, err := out.Write(e.Body); err != nil {
			return err
		}
		return out.WriteByte('\n')
	})
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return allRejected(importer.Report{File: file, Tally: counts})
}

// oddTimes names local times that are not one moment, and the rule by which they were read.
func oddTimes(w io.Writer, what string, t importer.OddTimes, rule string) {
	if t.Rows > 0 {
		terminal.Row(w, "  "+what, fmt.Sprintf("%d, the first on line %d: %s; %s", t.Rows, t.Line, t.Time, rule))
	}
}

func showImport(w io.Writer, r importer.Report) {
	terminal.Row(w, r.File, "")
	terminal.Row(w, "  rows", r.Rows)
	terminal.Row(w, "  admitted", r.Admitted)
	terminal.Row(w, "  duplicates", r.Duplicates)
	terminal.Row(w, "  rejected", r.RejectedTotal())
	for _, reason := range slices.Sorted(maps.Keys(r.Rejected)) {
		terminal.Row(w, "    "+reason, r.Rejected[reason])
	}
	for _, t := range slices.Sorted(maps.Keys(r.Events)) {
		terminal.Row(w, "  "+string(t), r.Events[t])
	}
	oddTimes(w, "times clocks skipped", r.SkippedTimes, "read with the offset from before clocks were put forward")
	oddTimes(w, "times clocks showed twice", r.RepeatedTimes, "read as the earlier of the two")
	if r.ResumedAt > 0 {
		terminal.Row(w, "  resumed after row", r.ResumedAt)
	}
	if r.RejectsFile != "" {
		terminal.Row(w, "  rejected rows in", r.RejectsFile)
	}
	terminal.Row(w, "  took", wording.Sprintf("%s, %d rows a second", r.Elapsed.Round(10*time.Millisecond), int(math.Round(float64(r.Rows-r.ResumedAt)/r.Elapsed.Seconds()))))
}
