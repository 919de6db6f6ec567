package events

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/runtime/importer"
)

// oldAfter is the age from which a row is most likely history: what it makes run short was ordered long ago.
const oldAfter = 30 * 24 * time.Hour

// warnOfOldRows says, before an import without --history begins, that old rows will order from suppliers where rules
// exist, and on a terminal asks whether to go on. --history=false is the answer beforehand.
func warnOfOldRows(cctx *cli.Context, db *store.DB, file string, mapping *importer.Mapping) error {
	if cctx.IsSet("history") {
		return nil
	}
	places, err := masterdata.OrderingLocations(cctx.Context, db)
	if err != nil || len(places) == 0 {
		return err
	}
	old, err := importer.FirstOld(cctx.Context, file, mapping, time.Now().Add(-oldAfter), places)
	if err != nil || old == nil {
		return err
	}
	terminal.Say(cctx, "line %d of %s is of %s, and rules order for %s: what its old rows make run short is ordered from suppliers; --history imports them without orders, --history=false does not ask",
		old.Line, file, old.Timestamp.Format(time.DateOnly), old.Location.Location)
	if !terminal.Confirm(cctx, "Import them, and let rules order?") {
		return exit.Usage("nothing was imported; give --history or --history=false")
	}
	return nil
}
