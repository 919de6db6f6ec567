package contracts

import (
	"cmp"
	"errors"
	"fmt"
	"io"
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
)

// change is a change with the workers that it concerns.
type change struct {
	contract.Change
	// Consumers get events of the type; so do other programs whose queues are bound to its routing key.
	Consumers []string `json:"consumers"`
}

// withConsumers adds to each change who consumes its type; everyone consumes the envelope.
func withConsumers(changes []contract.Change, all []catalogue.Entry) []change {
	with := make([]change, 0, len(changes))
	for _, c := range changes {
		consumers := []string{}
		for _, e := range all {
			if c.Type == "" || c.Type == e.Type {
				consumers = append(consumers, e.ConsumedBy...)
			}
		}
		slices.Sort(consumers)
		with = append(with, change{c, slices.Compact(consumers)})
	}
	return with
}

// changes compares this program, with a proposed schema if there is one, to the last published set.
func changes(cctx *cli.Context) ([]change, error) {
	now, all, err := entries()
	if err != nil {
		return nil, err
	}
	if file := cctx.String(flagSchema); file != "" {
		e, err := typeNamed(all, cctx.String(flagType))
		if err != nil {
			return nil, err
		}
		text, _, err := proposed(file, e.Type)
		if err != nil {
			return nil, err
		}
		now.Schemas[contract.Name(e.Type, e.Version())] = text
	}
	last, err := published(cctx.String(flagPublished))
	if err != nil {
		return nil, err
	}
	found, err := contract.Compare(last, now)
	if err != nil {
		return nil, err
	}
	return withConsumers(found, all), nil
}

// proposed reads the schema that a file proposes for a type's payload.
func proposed(file string, t event.Type) (string, *event.Proposal, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", nil, exit.Usage("--schema %s: %v", file, exit.Reason(err))
	}
	proposal, err := event.NewProposal(t, string(text))
	if err != nil {
		return "", nil, exit.Usage("--schema %s: %v", file, err)
	}
	return string(text), proposal, nil
}

func showChanges(cctx *cli.Context, found []change) error {
	return terminal.Show(cctx, found, func(w io.Writer) {
		if len(found) == 0 {
			fmt.Fprintln(w, "nothing has changed since the last published set")
			return
		}
		terminal.Table(w, found, []any{"", "TYPE", "VERSION", "FIELD", "CHANGE", "CONSUMERS"}, func(c *change) []any {
			of := string(c.Type)
			if of == "" {
				of = "every event"
			}
			return []any{map[bool]string{true: "refused", false: "ok"}[c.Breaking], of, cmp.Or(c.Version, "-"), cmp.Or(c.Field, "-"), c.What, orDash(c.Consumers)}
		})
	})
}

func diff(cctx *cli.Context) error {
	found, err := changes(cctx)
	if err != nil {
		return err
	}
	return showChanges(cctx, found)
}

func check(cctx *cli.Context) error {
	if cctx.String(flagSchema) != "" && cctx.String(flagType) == "" {
		return exit.Usage("--schema wants --type, the event type whose payload it is for")
	}
	if cctx.Int(flagLimit) < 0 {
		return exit.Usage("--limit %d: want 0 or more", cctx.Int(flagLimit))
	}
	if cctx.Bool(flagLog) {
		return checkLog(cctx)
	}
	if cctx.Path(archive.FlagArchives) != "" {
		return exit.Usage("--archives goes with --log")
	}
	if cctx.String(flagType) != "" && cctx.String(flagSchema) == "" {
		return exit.Usage("--type goes with --schema or --log")
	}
	found, err := changes(cctx)
	if err != nil {
		return err
	}
	if err := showChanges(cctx, found); err != nil {
		return err
	}
	if refused := refusals(found); len(refused) > 0 {
		terminal.Say(cctx, "refused, %d in number: undo them, or make a new version of the type and an upcaster (docs/howto/change-an-event.md)", len(refused))
		return exit.Findings("contracts are broken")
	}
	return nil
}

func refusals(found []change) []change {
	return slices.DeleteFunc(slices.Clone(found), func(c change) bool { return !c.Breaking })
}

func publish(cctx *cli.Context) error {
	if cctx.NArg() != 1 {
		return exit.Usage("name the folder of the published set: `composerp contracts publish exchange/contract/published`")
	}
	dir := cctx.Args().First()
	now, all, err := entries()
	if err != nil {
		return err
	}
	last, err := contract.Read(os.DirFS(dir))
	first := errors.Is(err, contract.ErrNoSet)
	if err != nil && !first {
		return err
	}
	if !first {
		found, err := contract.Compare(last, now)
		if err != nil {
			return err
		}
		if err := showChanges(cctx, withConsumers(found, all)); err != nil {
			return err
		}
		if contract.IsBreaking(found) {
			terminal.Say(cctx, "nothing is written: `composerp contracts check` says what is refused, and why")
			return exit.Findings("contracts are broken")
		}
	}
	files, err := now.Onto(last).Files()
	if err != nil {
		return err
	}
	if cctx.Bool(settings.FlagDryRun) {
		terminal.Say(cctx, "would write %d files into %s", len(files), dir)
		return nil
	}
	written, err := contract.WriteFiles(dir, files)
	if err != nil {
		return fmt.Errorf("publishing the contracts: %w", err)
	}
	terminal.Say(cctx, "%d of %d files of %s have changed", written, len(files), strings.TrimSuffix(dir, "/"))
	return nil
}
