package events

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/extension"
	"github.com/composerp/composerp/store/grants"
)

// MigrateCommand is the command `migrate`.
func MigrateCommand() *cli.Command {
	flags := settings.DatabaseFlags()
	return &cli.Command{
		Name:  "migrate",
		Usage: "migrate the database's schema to this program's version",
		Subcommands: []*cli.Command{
			{Name: "up", Usage: "apply pending migrations; may run concurrently", Flags: flags, Action: settings.On(openUnmigrated, settings.Nothing, migrateUp)},
			{Name: "status", Usage: "list the migrations and which are applied", Flags: flags, Action: settings.On(openUnmigrated, settings.Nothing, migrateStatus)},
		},
	}
}

func openUnmigrated(cctx *cli.Context) (*store.DB, error) {
	e, err := settings.Discover(cctx)
	if err != nil {
		return nil, err
	}
	return settings.OpenDatabase(cctx.Context, e.AsRole(grants.Migrator), "migrate", 2)
}

func migrateUp(cctx *cli.Context, db *store.DB, _ struct{}) error {
	done, err := store.Migrate(cctx.Context, db)
	if err != nil {
		return err
	}
	if err := eventlog.EnsurePartitions(cctx.Context, db); err != nil {
		return err
	}
	ofModules, err := extension.MigrateRegistered(cctx.Context, db)
	if err != nil {
		return err
	}
	if _, err := grants.Apply(cctx.Context, db); err != nil {
		return err
	}
	if ofModules > 0 {
		terminal.Say(cctx, "applied %d steps of this program's own schemas", ofModules)
	}
	if len(done) == 0 {
		terminal.Say(cctx, "the schema is up to date")
	}
	return showMigrations(cctx, done)
}

func migrateStatus(cctx *cli.Context, db *store.DB, _ struct{}) error {
	list, err := store.Migrations(cctx.Context, db)
	if err != nil {
		return err
	}
	return showMigrations(cctx, list)
}

func showMigrations(cctx *cli.Context, list []store.Migration) error {
	if list == nil {
		list = []store.Migration{}
	}
	return terminal.Show(cctx, list, func(w io.Writer) {
		if len(list) == 0 {
			return
		}
		terminal.Table(w, list, []any{"VERSION", "NAME", "APPLIED"}, func(m *store.Migration) []any {
			applied := "no"
			if m.Applied {
				applied = terminal.Moment(m.AppliedAt)
			}
			return []any{fmt.Sprint(m.Version), m.Name, applied}
		})
	})
}
