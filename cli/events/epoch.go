package events

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/grants"
)

// EpochCommand is the command `epoch`.
func EpochCommand() *cli.Command {
	return &cli.Command{
		Name:  "epoch",
		Usage: "epochs of the log; a restore begins a new one",
		Subcommands: []*cli.Command{
			{
				Name: "show", Usage: "list the epochs, and whether the newest fits this server",
				Flags: settings.DatabaseFlags(), Action: settings.OnSchema("epoch", 2, settings.Nothing, epochShow),
			},
			{
				Name: "begin", Usage: "begin a new epoch in a restored database, so that events are published again",
				Description: "The log of a restored database has transaction ids of another server. This command ends the log's old epoch and\n" +
					"begins one of this server. Events that were not published before the restore are published once. The command\n" +
					"waits for the leases of killed processes, and refuses while a fleet runs. Where the newest epoch fits this server\n" +
					"it changes nothing and may be repeated. docs/howto/backup.md describes a whole restore.",
				Flags: settings.DatabaseFlags(
					&cli.BoolFlag{Name: "force", Usage: "begin an epoch even where the newest fits: after a restore into the same server, or from its files"},
					settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
				),
				Action: settings.On(openOwned, settings.Nothing, epochBegin),
			},
		},
	}
}

// openOwned opens the schema as its owner.
func openOwned(cctx *cli.Context) (*store.DB, error) {
	db, _, err := settings.OpenSchemaAs(cctx, grants.Migrator, "epoch", 2)
	return db, err
}

func epochShow(cctx *cli.Context, db *store.DB, _ struct{}) error {
	epochs, err := eventlog.Epochs(cctx.Context, db)
	if err != nil {
		return err
	}
	if !epochs[len(epochs)-1].Fits {
		terminal.Say(cctx, "%s", eventlog.ErrRestored)
	}
	return terminal.Show(cctx, epochs, func(w io.Writer) { epochTable(w, epochs) })
}

func epochTable(w io.Writer, epochs []eventlog.Epoch) {
	header := []any{"EPOCH", "BEGAN", "FROM TICK", "FROM PLACE", "SERVER", "FITS"}
	terminal.Table(w, epochs, header, func(e *eventlog.Epoch) []any {
		return []any{e.Epoch, terminal.Moment(e.BeganAt), fmt.Sprint(e.FirstTick), fmt.Sprint(e.FirstSeq), fmt.Sprint(e.SystemIdentifier), terminal.YesNo(e.Fits)}
	})
}

func epochBegin(cctx *cli.Context, db *store.DB, _ struct{}) error {
	begun, err := eventlog.BeginEpoch(cctx.Context, db, settings.By(cctx), cctx.Bool("force"))
	if err != nil {
		return err
	}
	epochs, err := eventlog.Epochs(cctx.Context, db)
	if err != nil {
		return err
	}
	state, err := eventlog.ReadState(cctx.Context, db, "")
	if err != nil {
		return err
	}
	newest := epochs[len(epochs)-1]
	if !begun {
		terminal.Say(cctx, "the log's epoch %d fits this server: nothing to do", newest.Epoch)
	} else {
		terminal.Say(cctx, "epoch %d has begun at position %s of the log; %d older events are still to be published", newest.Epoch, fmt.Sprint(newest.FirstSeq), state.Unpublished)
	}
	return terminal.Show(cctx, newest, func(w io.Writer) { epochTable(w, []eventlog.Epoch{newest}) })
}
