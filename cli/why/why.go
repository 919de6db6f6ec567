// Package why has the command that tells what has led to a figure or an order.
package why

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
)

// Command is the command `why`.
func Command() *cli.Command {
	return &cli.Command{
		Name: "why", Usage: "tell what has led to an order, or to a stock figure", ArgsUsage: "ID|NUMBER",
		Description: "Of an order: the inventory position that its rule saw, the rule and the forecast, the arithmetic line by line, the\n" +
			"events that it follows from and that follow from it, who decided, and what has come. It reads the log from its end:\n" +
			"some seconds for a million events. Of a figure: `composerp why stock ITEM LOCATION`.",
		Flags: settings.DatabaseFlags(
			&cli.StringFlag{Name: "tenant", Usage: "tenant, where several have an order of that number"},
			archive.Flag(),
		),
		Action:      whyOrder,
		Subcommands: []*cli.Command{stockCommand()},
	}
}

// whyOrder shows the help where no order is named.
func whyOrder(cctx *cli.Context) error {
	if cctx.NArg() == 0 {
		return cli.ShowSubcommandHelp(cctx)
	}
	return settings.OnSchema("why", 1, orderAsked, explainOrder)(cctx)
}

func stockCommand() *cli.Command {
	return &cli.Command{
		Name: "stock", Usage: "show the events behind the stock of an item at a location, with the balance after each", ArgsUsage: "ITEM LOCATION",
		Description: "Movements come in the order in which they were booked; a late event stands where it was booked, with its own business\n" +
			"time. The last line is what `composerp stock` shows, or with --as-of what `composerp stock --as-of` shows. Exits 2\n" +
			"when the movements do not add up to it, 3 when stock has not seen the last ones yet.",
		Flags: settings.DatabaseFlags(
			&cli.StringFlag{Name: "tenant", Usage: "tenant, where several have the item at the location"},
			&cli.StringFlag{Name: "as-of", Usage: "leave out what is dated after `TIME`: 2026-02-09T12:00:00Z, or 2h ago"},
			archive.Flag(),
			&cli.IntFlag{Name: "last", Value: 50, Usage: "show the last `N` movements; 0: all"},
			&cli.Int64Flag{Name: "before", Usage: "show movements before this `NUMBER`, to page back"},
		),
		Action: settings.OnSchema("why", 1, stockAsked, explainStock),
	}
}

// asOf reads --as-of; zero: it is not given.
func asOf(cctx *cli.Context) (time.Time, error) {
	text := cctx.String("as-of")
	if text == "" {
		return time.Time{}, nil
	}
	return terminal.ReadMoment("as-of", text)
}

// meant names what was probably meant, or where it is found.
func meant(typed string, known []string, of string) string {
	if hint := terminal.Suggest(typed, known); hint != "" {
		return hint
	}
	const most = 5
	if len(known) == 0 {
		return ""
	}
	shown := known[:min(len(known), most)]
	more := ""
	if len(known) > most {
		more = ", ..."
	}
	return of + strings.Join(shown, ", ") + more + "; "
}

var errTwoNames = exit.Usage("name an item and a location: composerp why stock ITEM LOCATION")
