package events

import (
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

func EpochCommand() *cli.Command {
	return &cli.Command{
		Name:  "epoch",
		Usage: "the lives of the log, between restores",
		Subcommands: []*cli.Command{
			{
				Name: "show", Usage: "list them, and say whether the newest fits this server",
				Flags: []cli.Flag{terminal.OutputFlag(), settings.DatabaseFlag(), settings.DirFlag()}, Action: epochShow,
			},
			{
				Name: "begin", Usage: "let events flow again in a database that was restored",
				Description: "Transaction ids of a restored database are another server's. This ends the log's old epoch and begins one of\n" +
					"this server: what was not published before the restore is published once, from where the relay had come. It\n" +
					"waits for leases of processes that were killed, and refuses while a fleet is at work. Where the log fits\n" +
					"already it changes nothing, so it may be run again at any time. docs/howto/backup.md has the whole of a restore.",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "force", Usage: "begin one where it fits too: after a restore into the server that the dump is of, or from files of it"},
					terminal.OutputFlag(), settings.DatabaseFlag(), settings.DirFlag(),
				},
				Action: epochBegin,
			},
		},
	}
}

func openEpochs(cctx *cli.Context) (*store.DB, error) {
	if err := settings.NoArguments(cctx); err != nil {
		return nil, err
	}
	db, _, err := settings.OpenSchema(cctx, "epoch", 2)
	return db, err
}

func epochShow(cctx *cli.Context) error {
	db, err := openEpochs(cctx)
	if err != nil {
		return err
	}
	defer db.Close()
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
	terminal.Row(w, "EPOCH", "BEGAN", "FROM TICK", "FROM PLACE", "SERVER", "FITS")
	for _, e := range epochs {
		fits := "no"
		if e.Fits {
			fits = "yes"
		}
		terminal.Row(w, e.Epoch, e.BeganAt.Local().Format(time.DateTime), e.FirstTick, e.FirstSeq, e.SystemIdentifier, fits)
	}
}

func epochBegin(cctx *cli.Context) error {
	db, err := openEpochs(cctx)
	if err != nil {
		return err
	}
	defer db.Close()
	begun, err := eventlog.BeginEpoch(cctx.Context, db, cctx.Bool("force"))
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
		terminal.Say(cctx, "epoch %d has begun at place %d of the log; %d events of before are still to be published, and will be", newest.Epoch, newest.FirstSeq, state.Unpublished)
	}
	return terminal.Show(cctx, newest, func(w io.Writer) { epochTable(w, []eventlog.Epoch{newest}) })
}
