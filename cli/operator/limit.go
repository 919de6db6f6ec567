package operator

import (
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/limits"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/worker/webcall"
)

const (
	flagForce = "force"
	unlimited = "none"
	maxCalls  = 10_000
)

// LimitCommand is the command `limit`.
func LimitCommand() *cli.Command {
	return &cli.Command{
		Name: "limit", Usage: "limit how many calls at once the fleet makes to a supplier or webhook", ArgsUsage: "[DEPENDENCY [N]]",
		Description: "Without arguments it lists the limits. DEPENDENCY is scheme, host and port of the endpoint, such as\n" +
			"https://supplier.example; a path is left out. N is for the whole fleet, however many slots there are; none takes the\n" +
			"limit away. Calls beyond it wait in their slots for 20 seconds, then in a retry queue, and lose no attempt. It holds\n" +
			"within a second, and beside the circuit breaker.",
		Flags: settings.DatabaseFlags(settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
			&cli.BoolFlag{Name: flagForce, Usage: "also for a dependency that no supplier or setting names"}),
		Action: settings.OnSchema("limit", 1, limitAsked, limit),
	}
}

// limitQuestion is what is to be limited; calls is nil to show, 0 for no limit.
type limitQuestion struct {
	dependency string
	calls      *int
}

func limitAsked(cctx *cli.Context) (q limitQuestion, err error) {
	args := cctx.Args().Slice()
	if len(args) > 2 {
		return q, exit.Usage("want a dependency and a number, got %q too", args[2])
	}
	if len(args) == 0 {
		return q, nil
	}
	if q.dependency = webcall.Dependency(args[0]); q.dependency == "" {
		return q, exit.Usage("%q is no endpoint; want scheme, host and port, such as https://supplier.example", settings.HostOnly(args[0]))
	}
	if len(args) == 1 {
		return q, nil
	}
	n := 0
	if args[1] != unlimited {
		if n, err = strconv.Atoi(args[1]); err != nil || n < 1 || n > maxCalls {
			return q, exit.Usage("%q: want a number of 1 to %d, or %s", args[1], maxCalls, unlimited)
		}
	}
	q.calls = &n
	return q, nil
}

func limit(cctx *cli.Context, db *store.DB, q limitQuestion) error {
	if q.calls != nil {
		if err := checkDependency(cctx, db, q); err != nil {
			return err
		}
		before, err := limits.Set(cctx.Context, db, settings.By(cctx), q.dependency, *q.calls)
		if err != nil {
			return err
		}
		if before == *q.calls {
			terminal.Say(cctx, "nothing changes: that is the limit of %s already", q.dependency)
		}
	}
	list, err := limits.List(cctx.Context, db)
	if err != nil {
		return err
	}
	if q.dependency != "" {
		list = slices.DeleteFunc(list, func(l limits.Limit) bool { return l.Name != q.dependency })
	}
	return terminal.ShowRows(cctx, list, []any{"DEPENDENCY", "CALLS AT ONCE", "UNDER WAY", "SET BY", "AT", "WHY"}, func(l *limits.Limit) []any {
		return []any{l.Name, l.Calls, l.UnderWay, l.UpdatedBy, terminal.Moment(l.UpdatedAt), l.Reason}
	})
}

// checkDependency refuses what nothing names: a mistyped limit would hold for no call.
func checkDependency(cctx *cli.Context, db *store.DB, q limitQuestion) error {
	if cctx.Bool(flagForce) {
		return nil
	}
	known, err := limits.Known(cctx.Context, db)
	if err != nil {
		return err
	}
	suppliers, err := masterdata.Suppliers(cctx.Context, db, masterdata.Filter{})
	if err != nil {
		return err
	}
	addresses := webhooks(cctx)
	for _, s := range suppliers {
		addresses = append(addresses, s.Endpoint)
	}
	for _, address := range addresses {
		known = append(known, webcall.Dependency(address))
	}
	if slices.Contains(known, q.dependency) {
		return nil
	}
	return exit.Usage("no supplier, webhook or failure names %s; %s--%s limits it all the same", q.dependency, terminal.Suggest(q.dependency, known), flagForce)
}

// webhooks are the addresses of the settings that workers call.
func webhooks(cctx *cli.Context) (addresses []string) {
	for _, name := range []string{settings.FlagNotification, settings.FlagAlert, settings.FlagAlertmanager} {
		if v, err := settings.Configured(cctx).Value(settings.Named(name)); err == nil && v.Text != "" {
			addresses = append(addresses, v.Text)
		}
	}
	return addresses
}
