package contracts

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/migration"
)

const (
	flagStart   = "start"
	flagStatus  = "status"
	flagFinish  = "finish"
	flagAbort   = "abort"
	flagVersion = "version"
)

// directions are the flags that `contracts migrate` takes one from.
var directions = []string{flagStart, flagStatus, flagFinish, flagAbort}

func migrateCommand() *cli.Command {
	return &cli.Command{
		Name: "migrate", Usage: "bring a type from its older version to the current one while consumers read either", ArgsUsage: "TYPE",
		Description: "A type with an older version is emitted in that one until --start. Then both are published: composerp.events has the\n" +
			"current version, composerp.events.v1 the older one, and each consumer gets the one that it reads. --status lists the\n" +
			"consumers and what is in the way, --finish ends the older version once no consumer reads it, and --abort goes back.\n" +
			"After a crash the same command goes on. docs/howto/migrate-a-version.md has the whole way.",
		Flags: changing(
			&cli.BoolFlag{Name: flagStart, Usage: "publish both versions; in a started migration, move consumers that read another version now"},
			&cli.BoolFlag{Name: flagStatus, Usage: "show the stage, the consumers and what is in the way; the default"},
			&cli.BoolFlag{Name: flagFinish, Usage: "publish the current version alone; refused while a consumer reads the older one"},
			&cli.BoolFlag{Name: flagAbort, Usage: "publish the older version alone again"},
		),
		Action: settings.OnSchema("contracts", 2, direction, migrate),
	}
}

func readyCommand() *cli.Command {
	return &cli.Command{
		Name: "ready", Usage: "declare which version of a type a queue reads that is not the fleet's", ArgsUsage: "QUEUE",
		Description: "`contracts migrate` gives each queue the version that it reads. Of the fleet's queues the programs say that; of others an\n" +
			"operator does. A queue that is declared for another version than before is moved by the next `contracts migrate --start`.",
		Flags: changing(
			&cli.StringFlag{Name: flagType, Usage: "event `TYPE`"},
			&cli.StringFlag{Name: flagVersion, Usage: "the `VERSION` that its consumer reads: the current one or the older one"},
		),
		Action: settings.OnSchema("contracts", 1, declaration, ready),
	}
}

func changing(more ...cli.Flag) []cli.Flag {
	more = append(more, &cli.BoolFlag{Name: settings.FlagDryRun, Usage: "say what would be done"}, terminal.OutputFlag())
	return append(settings.BrokerFlags(more...), settings.FlagOf(settings.FlagDatabase), settings.FlagOf(settings.FlagDir), settings.LogFlag("warn"), settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator))
}

// migratable finds a type that has an older version.
func migratable(name string) (event.Type, error) {
	t := event.Type(strings.ToUpper(name))
	d, known := event.Lookup(t)
	switch {
	case !known:
		return t, exit.Usage("no event type %q; `composerp contracts list` lists them", name)
	case d.Older() == "":
		return t, exit.Usage("%s has no older version that can be emitted: there is nothing to migrate", t)
	}
	return t, nil
}

// order is what `contracts migrate` is asked to do.
type order struct {
	of    event.Type
	which string
}

func direction(cctx *cli.Context) (o order, err error) {
	if cctx.NArg() != 1 {
		return o, exit.Usage("name one type: `composerp contracts migrate INVENTORY_UPDATED --status`")
	}
	o.which = flagStatus
	given := slices.DeleteFunc(slices.Clone(directions), func(flag string) bool { return !cctx.Bool(flag) })
	if len(given) > 1 {
		return o, exit.Usage("want one of --%s", strings.Join(directions, ", --"))
	}
	if len(given) == 1 {
		o.which = given[0]
	}
	o.of, err = migratable(cctx.Args().First())
	return o, err
}

func migrate(cctx *cli.Context, db *store.DB, o order) error {
	e, err := settings.Discover(cctx)
	if err != nil {
		return err
	}
	broker, err := settings.LoggedBroker(cctx, e.As(roles.Topology), "contracts")
	if err != nil {
		return err
	}
	api, err := settings.ManagementClient(e)
	if err != nil {
		return err
	}
	m := &migration.Migration{Type: o.of, DB: db, Broker: broker, Management: api, Subscriptions: workers.Subscriptions(), By: settings.By(cctx),
		Say: func(step string) { terminal.Say(cctx, "%s", step) }}
	if !cctx.Bool(settings.FlagDryRun) {
		switch o.which {
		case flagStart:
			err = m.Start(cctx.Context)
		case flagFinish:
			err = m.Finish(cctx.Context)
		case flagAbort:
			err = m.Abort(cctx.Context)
		}
	} else if o.which != flagStatus {
		terminal.Say(cctx, "--%s would change what follows, unless something is in its way", o.which)
	}
	if err != nil && !errors.Is(err, migration.ErrInTheWay) {
		return err
	}
	if shown := showMigration(cctx, m); shown != nil {
		return shown
	}
	return err
}

// showMigration prints how far a migration has come.
func showMigration(cctx *cli.Context, m *migration.Migration) error {
	s, err := m.Status(cctx.Context)
	if err != nil {
		return err
	}
	return terminal.Show(cctx, s, func(w io.Writer) {
		terminal.Row(w, "TYPE", "STAGE", "OLDER", "CURRENT", "RELAY", "BY", "REASON")
		relay := "follows"
		if !s.Adopted {
			relay = "has not taken over yet"
		}
		terminal.Row(w, string(s.Type), string(s.Stage), s.Older, s.Current, relay, s.UpdatedBy, s.Reason)
		terminal.Row(w)
		terminal.Table(w, s.Consumers, []any{"CONSUMER", "READS", "GETS IT FROM", "WAITING", "DEAD", "KNOWN BY"}, func(c *migration.Consumer) []any {
			reads := c.Reads
			if reads == "" {
				reads, c.Why = "?", "nothing says so"
			}
			return []any{c.Queue, reads, strings.Join(c.From, ", "), count(c.Waiting), count(c.Dead), c.Why}
		})
		for _, way := range s.InTheWay {
			terminal.Row(w, "IN THE WAY", way)
		}
	})
}

func count(n int64) string {
	if n < 0 {
		return "?"
	}
	return wording.Sprintf("%d", n)
}

// declaration is what `contracts ready` declares.
func declaration(cctx *cli.Context) (d versions.Declared, err error) {
	if cctx.NArg() != 1 {
		return d, exit.Usage("name one queue: `composerp contracts ready billing --type INVENTORY_UPDATED --version 2.0`")
	}
	d.Queue, d.Version = cctx.Args().First(), cctx.String(flagVersion)
	if !cctx.IsSet(flagType) || d.Version == "" {
		return d, exit.Usage("say what it reads: --%s INVENTORY_UPDATED --%s 2.0", flagType, flagVersion)
	}
	if d.Type, err = migratable(cctx.String(flagType)); err != nil {
		return d, err
	}
	if known, _ := event.Lookup(d.Type); d.Version != known.Version && d.Version != known.Older() {
		return d, exit.Usage("--%s %q: want %s or %s", flagVersion, d.Version, known.Version, known.Older())
	}
	return d, nil
}

func ready(cctx *cli.Context, db *store.DB, d versions.Declared) error {
	if cctx.Bool(settings.FlagDryRun) {
		terminal.Say(cctx, "%s would be declared to read %s %s", d.Queue, d.Type, d.Version)
		return nil
	}
	by := settings.By(cctx)
	if err := versions.Declare(cctx.Context, db, by, d.Queue, d.Type, d.Version); err != nil {
		return err
	}
	d.UpdatedBy, d.Reason = by.Operator, by.Reason
	terminal.Say(cctx, "%s is declared to read %s %s; `composerp contracts migrate %s --start` gives it that version", d.Queue, d.Type, d.Version, d.Type)
	return terminal.Show(cctx, d, func(w io.Writer) {
		terminal.Row(w, "QUEUE", "TYPE", "READS")
		terminal.Row(w, d.Queue, string(d.Type), d.Version)
	})
}
