package events

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/audit"
	"github.com/composerp/composerp/workers/runtime/republish"
	"github.com/composerp/composerp/workers/runtime/unrouted"
)

const (
	flagConsumer = "consumer"
	flagSince    = "since"
	flagNow      = "now"
)

// RepublishCommand is the command `republish`.
func RepublishCommand() *cli.Command {
	return &cli.Command{
		Name:  "republish",
		Usage: "publish again what is in the log and in no inbox",
		Description: "For when messages were lost with their queue, or a binding was missing: audit reports events neither handled nor dead.\n" +
			"Each pending delivery is published to the queue of its worker and to no other; dead letters stay. Messages in\n" +
			"composerp.unrouted that have a binding now are published again. The command waits until the fleet is quiet, because\n" +
			"events in flight would be published twice, which does no harm. It may be interrupted and repeated at any time.",
		Flags: settings.ConnectionFlags(
			&cli.StringFlag{Name: flagConsumer, Aliases: []string{"worker"}, Usage: "for these workers only, separated by commas"},
			&cli.StringFlag{Name: flagSince, Usage: "only events logged since: 2h, 2026-02-09T12:00:00Z, or a position of the log; default as far back as the inboxes reach"},
			&cli.BoolFlag{Name: settings.FlagDryRun, Usage: "only count"},
			&cli.BoolFlag{Name: flagNow, Usage: "do not wait until the fleet is quiet"},
			&cli.DurationFlag{Name: "wait", Value: time.Minute, Usage: "how long to wait for the fleet to be quiet"},
			terminal.OutputFlag(), settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
		),
		Action: republishLost,
	}
}

func republishLost(cctx *cli.Context) error {
	queues, err := queuesOf(cctx.String(flagConsumer))
	if err != nil {
		return err
	}
	db, e, err := settings.OpenSchema(cctx, "republish", 3)
	if err != nil {
		return err
	}
	defer db.Close()
	after, err := pointSince(cctx, db, cctx.String(flagSince))
	if err != nil {
		return err
	}
	if !cctx.Bool(flagNow) {
		if err := awaitQuiet(cctx, db, e); err != nil {
			return err
		}
	}
	if !cctx.Bool(settings.FlagDryRun) {
		err := operatorlog.NoteAlone(cctx.Context, db, settings.By(cctx), "republish", cmp.Or(cctx.String(flagConsumer), "all workers"),
			nil, map[string]any{"since": cctx.String(flagSince), "now": cctx.Bool(flagNow)})
		if err != nil {
			return err
		}
	}
	report, err := publishLost(cctx, db, e, republish.Config{DB: db, Queues: queues, After: after, DryRun: cctx.Bool(settings.FlagDryRun)})
	if err != nil {
		return fmt.Errorf("%w; %d events were published again by then, and the same command resumes", err, report.Published())
	}
	return showRepublished(cctx, report)
}

// publishLost publishes again, and closes the gaps that this repairs.
func publishLost(cctx *cli.Context, db *store.DB, e settings.Endpoints, cfg republish.Config) (republish.Report, error) {
	var err error
	if cfg.Broker, err = settings.LoggedBroker(cctx, e, "republish"); err != nil {
		return republish.Report{}, err
	}
	progress := terminal.NewStatus(cctx.App.ErrWriter)
	defer progress.End()
	cfg.Progress = func(p republish.Progress) {
		progress.Say(wording.Sprintf("read %d of %d positions of the log, %d events pending", p.Place-p.Begin, p.End-p.Begin, p.Pending))
	}
	gaps, err := eventlog.Gaps(cctx.Context, db)
	if err != nil {
		return republish.Report{}, err
	}
	var rerouted int64
	if !cfg.DryRun {
		if rerouted, err = reroute(cctx, cfg.Broker); err != nil {
			return republish.Report{}, err
		}
	}
	report, err := republish.Run(cctx.Context, cfg)
	report.Rerouted = rerouted
	if err != nil || cfg.DryRun || cfg.After != (eventlog.Position{}) || cctx.Bool(flagNow) {
		return report, err // with events in flight a gap stays open: the watchdog closes it
	}
	for _, g := range gaps {
		if _, ok := cfg.Queues[g.Consumer]; ok {
			if err := eventlog.CloseGap(cctx.Context, db, g); err != nil {
				return report, err
			}
		}
	}
	return report, nil
}

func reroute(cctx *cli.Context, broker rabbitmq.Config) (int64, error) {
	session, err := rabbitmq.Open(cctx.Context, broker)
	if err != nil {
		return 0, err
	}
	defer session.Close()
	return unrouted.Rerouting{Routes: unrouted.RoutesOf(workers.Topology(), nil)}.Run(cctx.Context, session, "republish."+settings.Holder())
}

func showRepublished(cctx *cli.Context, report republish.Report) error {
	return terminal.Show(cctx, report, func(w io.Writer) {
		terminal.Row(w, "CONSUMER", "QUEUE", "PENDING", "PUBLISHED")
		for _, t := range report.Consumers {
			terminal.Row(w, t.Consumer, t.Queue, t.Pending, t.Published)
		}
		if report.Rerouted > 0 {
			terminal.Row(w, "(all consumers)", topology.Unrouted, report.Rerouted, report.Rerouted)
		}
	})
}

// awaitQuiet returns findings when events are still in flight.
func awaitQuiet(cctx *cli.Context, db *store.DB, e settings.Endpoints) error {
	broker, err := settings.BrokerConfig(e, nil)
	if err != nil {
		return err
	}
	management, err := settings.ManagementClient(e)
	if err != nil {
		return err
	}
	needed, err := workers.TopologyNow(cctx.Context, db)
	if err != nil {
		return err
	}
	broker.Name = "republish"
	progress := terminal.NewStatus(cctx.App.ErrWriter)
	defer progress.End()
	quiet, waits, err := audit.Await(cctx.Context, audit.Config{
		DB: db, Broker: broker, Management: management, Topology: needed, Wait: cctx.Duration("wait"), Progress: progress.Say,
	})
	if err == nil && !quiet {
		terminal.Say(cctx, "%s; nothing is published again. --%s does not wait", waits, flagNow)
		err = exit.Findings("the fleet is not quiet")
	}
	return err
}

// queuesOf gives the queues of the named workers that have an inbox, or of all of them, by the workers' names.
func queuesOf(names string) (map[string]string, error) {
	queues := map[string]string{}
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.TracksInbox() {
			queues[w.Name()] = w.Queue()
		}
	}
	if names == "" {
		return queues, nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if _, ok := queues[name]; !ok {
			return nil, exit.Usage("--%s %q: no worker of that name has an inbox; %s`composerp worker list` shows the workers", flagConsumer, name, terminal.Suggest(name, slices.Sorted(maps.Keys(queues))))
		}
	}
	maps.DeleteFunc(queues, func(name, _ string) bool { return !slices.Contains(wanted, name) })
	return queues, nil
}

// pointSince reads a duration, a time, or a position of the log.
func pointSince(cctx *cli.Context, db *store.DB, text string) (eventlog.Position, error) {
	if text == "" {
		return eventlog.Position{}, nil
	}
	if place, err := strconv.ParseInt(text, 10, 64); err == nil && place >= 0 {
		return eventlog.Position{Seq: place}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return eventlog.PositionAt(cctx.Context, db, time.Now().Add(-ago))
	}
	at, err := terminal.ReadTime(flagSince, text, time.Time{})
	if err != nil {
		return eventlog.Position{}, exit.Usage("--%s %q: want a duration such as 2h, a time such as 2026-02-09T12:00:00Z, or a position of the log", flagSince, text)
	}
	return eventlog.PositionAt(cctx.Context, db, at)
}
