package broker

import (
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/operatorlog"
)

// notedFlags are those of commands that change the broker, and record it in the operator log.
func notedFlags(more ...cli.Flag) []cli.Flag {
	return append(settings.BrokerFlags(more...), settings.FlagOf(settings.FlagDatabase), settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator))
}

// note records a change of the topology before it is made. The broker is repaired without a database too: a new fleet's
// has no schema yet, and one may be away. Where a database is known and takes no entry, the command says so.
func note(cctx *cli.Context, action string, removed []topology.BindingSpec) {
	at, err := settings.Discover(cctx)
	if err == nil && at.Database == "" {
		return
	}
	db, _, err := settings.OpenSchema(cctx, "topology", 1)
	if err == nil {
		defer db.Close()
		var before any
		if removed != nil {
			before = map[string]any{"bindings": removed}
		}
		err = operatorlog.NoteAlone(cctx.Context, db, settings.By(cctx), action, "", before, nil)
	}
	if err != nil {
		terminal.Say(cctx, "the operator log has no entry of this: %s", exit.OneLine(err))
	}
}
