// Package contracts is the commands contracts and flow: what each event type promises, what has changed since it was
// published, and who publishes and consumes it.
package contracts

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/contracts/catalogue"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/contract"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
)

const (
	flagPublished = "published"
	flagSchema    = "schema"
	flagType      = "type"
	flagLog       = "log"
	flagLimit     = "limit"
)

// Command is the command `contracts`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "contracts",
		Usage: "what each event type promises, and what has changed of it",
		Description: "A type has a JSON Schema for each version, and golden events that a fleet has emitted. The last published set is a\n" +
			"folder of these; this program has one built in, and --published names another. `check` refuses what would break a\n" +
			"consumer, a publisher or a replay of the log; `publish` writes the next set once check passes.",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "types with versions, routing keys, publishers and consumers", Action: list,
				Flags: []cli.Flag{terminal.OutputFlag()},
			},
			{
				Name: "show", Usage: "a type's fields, publishers, consumers and examples", ArgsUsage: "TYPE [VERSION]", Action: show,
				Flags: []cli.Flag{&cli.BoolFlag{Name: flagSchema, Usage: "print the payload's JSON Schema instead"}, terminal.OutputFlag()},
			},
			{
				Name: "check", Usage: "refuse what breaks consumers, publishers or the log", Action: check,
				Description: "Compares the schemas of this program to the last published set, and reads every golden event ever published. Refused\n" +
					"are a new required field, one that is gone or no longer required, another type or format, a narrower enum, bound or\n" +
					"pattern, another routing key, and a version that is no longer read. Compatible changes are listed. With --log, every\n" +
					"event of the log is held to the schemas, in constant memory, and the first that break are named; with --schema and\n" +
					"--type, to a proposed schema. Exit code 2 when something is refused.",
				Flags: settings.DatabaseFlags(
					publishedFlag(),
					&cli.BoolFlag{Name: flagLog, Usage: "hold the events of the log to the schemas"},
					archive.Flag(),
					&cli.StringFlag{Name: flagSchema, Usage: "file of a proposed schema for the payload of --type"},
					&cli.StringFlag{Name: flagType, Usage: "the type of --schema; with --log alone, the only type to read"},
					&cli.IntFlag{Name: flagLimit, Value: 10, Usage: "how many events that break to name; all are counted; 0: name all"},
				),
			},
			{
				Name: "diff", Usage: "what has changed since the last published set", Action: diff,
				Flags: []cli.Flag{publishedFlag(), terminal.OutputFlag()},
			},
			{
				Name: "publish", Usage: "write the next published set into a folder, when check passes", ArgsUsage: "DIR", Action: publish,
				Description: "In this repository the folder is exchange/contract/published. The set that is there is the last published one; a\n" +
					"folder without one gets the first. Golden events are added and never deleted.",
				Flags: []cli.Flag{&cli.BoolFlag{Name: settings.FlagDryRun, Usage: "only say what would be written"}},
			},
			{
				Name: "export", Usage: "write schemas, events, AsyncAPI and an HTML catalogue into a folder", ArgsUsage: "DIR", Action: export,
				Description: "index.html is the catalogue: it needs no server. asyncapi.json is an AsyncAPI 3.0 document, flow.mmd a Mermaid drawing.",
			},
			migrateCommand(),
			readyCommand(),
		},
	}
}

// FlowCommand is the command `flow`.
func FlowCommand() *cli.Command {
	return &cli.Command{
		Name:  "flow",
		Usage: "draw who publishes and consumes what, as Mermaid",
		Description: "The drawing follows from the declarations of this program's workers. Paste it where Mermaid is drawn: a Markdown page\n" +
			"of a forge, mermaid.live.",
		Flags:  []cli.Flag{terminal.OutputFlag()},
		Action: flow,
	}
}

func publishedFlag() cli.Flag {
	return &cli.StringFlag{Name: flagPublished, Usage: "folder of the last published set; default the one that this program was built with"}
}

// entries are the types of this program and its fleet.
func entries() (contract.Set, []catalogue.Entry, error) {
	set, err := contract.Current()
	if err != nil {
		return set, nil, err
	}
	all, err := catalogue.Of(set, workers.Fleet)
	return set, all, err
}

func list(cctx *cli.Context) error {
	_, all, err := entries()
	if err != nil {
		return err
	}
	return terminal.ShowRows(cctx, all, []any{"TYPE", "VERSION", "READ TOO", "ROUTING KEY", "PUBLISHED BY", "CONSUMED BY"}, func(e *catalogue.Entry) []any {
		return []any{e.Type, e.Version(), orDash(e.Former()), e.RoutingKey, orDash(catalogue.Names(e.PublishedBy)), orDash(e.ConsumedBy)}
	})
}

func orDash(names []string) string {
	return cmp.Or(strings.Join(names, ", "), "-")
}

// typeNamed finds a type by its name, in any case.
func typeNamed(all []catalogue.Entry, name string) (catalogue.Entry, error) {
	var names []string
	for _, e := range all {
		if strings.EqualFold(string(e.Type), name) {
			return e, nil
		}
		names = append(names, string(e.Type))
	}
	return catalogue.Entry{}, exit.Usage("no event type %q; %s`composerp contracts list` lists them", name, terminal.Suggest(strings.ToUpper(name), names))
}

func show(cctx *cli.Context) error {
	if n := cctx.NArg(); n < 1 || n > 2 {
		return exit.Usage("name one type, and a version if you like: `composerp contracts show SALE_COMPLETED 1.0`")
	}
	set, all, err := entries()
	if err != nil {
		return err
	}
	e, err := typeNamed(all, cctx.Args().First())
	if err != nil {
		return err
	}
	version := e.Version()
	if wanted := cctx.Args().Get(1); wanted != "" {
		if version = wanted; !slices.Contains(e.Versions, version) {
			return exit.Usage("%s has no version %q; it has %s", e.Type, version, strings.Join(e.Versions, ", "))
		}
		if e, err = e.In(set, version); err != nil {
			return err
		}
	}
	if cctx.Bool(flagSchema) {
		_, err := io.WriteString(cctx.App.Writer, set.Schemas[contract.Name(e.Type, version)])
		return err
	}
	return terminal.Show(cctx, e, func(w io.Writer) {
		terminal.Row(w, string(e.Type), e.Description)
		terminal.Row(w, "version", version)
		terminal.Row(w, "versions that are read", strings.Join(e.Versions, ", "))
		terminal.Row(w, "routing key", e.RoutingKey)
		terminal.Row(w, "aggregate", e.AggregateType)
		terminal.Row(w, "published by", orDash(catalogue.Names(e.PublishedBy)))
		terminal.Row(w, "consumed by", orDash(e.ConsumedBy))
		terminal.Row(w)
		terminal.Table(w, e.Fields, []any{"FIELD", "TYPE", "REQUIRED", "MEANING"}, func(f *catalogue.Field) []any {
			return []any{f.Path, f.Kind, terminal.YesNo(f.Required), f.Description}
		})
		for _, example := range e.Examples {
			fmt.Fprintf(w, "\n%s\n", example)
		}
	})
}

func flow(cctx *cli.Context) error {
	_, all, err := entries()
	if err != nil {
		return err
	}
	type line struct {
		Type        event.Type            `json:"type"`
		RoutingKey  string                `json:"routingKey"`
		PublishedBy []catalogue.Publisher `json:"publishedBy"`
		ConsumedBy  []string              `json:"consumedBy"`
	}
	lines := make([]line, len(all))
	for i, e := range all {
		lines[i] = line{e.Type, e.RoutingKey, e.PublishedBy, e.ConsumedBy}
	}
	return terminal.Show(cctx, lines, func(w io.Writer) { fmt.Fprint(w, catalogue.Mermaid(all)) })
}

// published reads the last published set.
func published(dir string) (contract.Set, error) {
	if dir == "" {
		return contract.Published()
	}
	last, err := contract.Read(os.DirFS(dir))
	if errors.Is(err, contract.ErrNoSet) {
		return last, exit.Usage("%s holds no published set: it has no catalogue.json; `composerp contracts publish %[1]s` writes the first", dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = exit.Usage("the published set in %s is not whole: %v", dir, exit.Reason(err))
	}
	return last, err
}

func export(cctx *cli.Context) error {
	if cctx.NArg() != 1 {
		return exit.Usage("name one folder: `composerp contracts export DIR`")
	}
	dir := cctx.Args().First()
	set, all, err := entries()
	if err != nil {
		return err
	}
	files, err := set.Files()
	if err != nil {
		return err
	}
	pages, err := catalogue.HTML(set, all)
	if err != nil {
		return err
	}
	maps.Copy(files, pages)
	api, err := catalogue.AsyncAPI(set, all, workers.Fleet)
	if err != nil {
		return err
	}
	files["asyncapi.json"], files["flow.mmd"] = string(api), catalogue.Mermaid(all)
	if _, err := contract.WriteFiles(dir, files); err != nil {
		return fmt.Errorf("writing the contracts: %w", err)
	}
	terminal.Say(cctx, "%d files of %d event types are in %s; open %[3]s/index.html", len(files), len(all), dir)
	return nil
}
