// Package why has the command that tells what has led to a figure or an order.
package why

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
)

// Command is the command `why`.
func Command() *cli.Command {
	return &cli.Command{
		Name: "why", Usage: "tell what has led to a stock figure",
		Subcommands: []*cli.Command{stockCommand()},
	}
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
