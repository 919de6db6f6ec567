package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/access"
	"github.com/composerp/composerp/cli/broker"
	"github.com/composerp/composerp/cli/contracts"
	"github.com/composerp/composerp/cli/deadletters"
	"github.com/composerp/composerp/cli/demo"
	"github.com/composerp/composerp/cli/doctor"
	"github.com/composerp/composerp/cli/events"
	"github.com/composerp/composerp/cli/fleet"
	"github.com/composerp/composerp/cli/gateway"
	"github.com/composerp/composerp/cli/masterdata"
	"github.com/composerp/composerp/cli/measure"
	"github.com/composerp/composerp/cli/operator"
	"github.com/composerp/composerp/cli/planner"
	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/cli/process"
	"github.com/composerp/composerp/cli/projections"
	"github.com/composerp/composerp/cli/replay"
	"github.com/composerp/composerp/cli/shadow"
	"github.com/composerp/composerp/cli/stream"
	"github.com/composerp/composerp/cli/top"
	"github.com/composerp/composerp/cli/whatif"
	"github.com/composerp/composerp/cli/why"
)

// grouped are all commands, under the headings of the help text.
func grouped() (all []*cli.Command) {
	for _, group := range []struct {
		heading  string
		commands []*cli.Command
	}{
		{"Run", []*cli.Command{fleet.UpCommand(), fleet.DownCommand(), demo.Command(), fleet.WorkerCommand(), top.Command(), pools.ScaleCommand(), pools.AutoscaleCommand(), pools.LanesCommand(), fleet.RelayCommand(), gateway.Command(), stream.Command()}},
		{"Events", []*cli.Command{events.ImportCommand(), events.PublishCommand(), events.AuditCommand(), events.Command(), events.RepublishCommand(), replay.Command(), projections.Command(), shadow.Command(), events.EpochCommand(), contracts.Command(), contracts.FlowCommand()}},
		{"Stock and orders", []*cli.Command{planner.StockCommand(), planner.PurchaseOrderCommand(), planner.NotificationCommand(), planner.ForecastCommand(), process.Command(), why.Command(), whatif.Command()}},
		{"Master data", []*cli.Command{masterdata.ItemCommand(), masterdata.LocationCommand(), masterdata.SupplierCommand(), masterdata.RuleCommand(), masterdata.TenantCommand(), masterdata.SourceCommand()}},
		{"Failures", []*cli.Command{doctor.Command(), doctor.FindingCommand(), deadletters.Command(), deadletters.QuarantineCommand(), events.MisdatedCommand(), operator.LogCommand(), operator.LimitCommand()}},
		{"Servers", []*cli.Command{broker.Command(), events.MigrateCommand(), access.SecretsCommand(), access.DatabaseCommand(), gateway.KeysCommand()}},
		{"Measure", []*cli.Command{measure.BenchCommand(), measure.ChaosCommand()}},
		{"This program", []*cli.Command{versionCommand(), completionCommand(), manCommand()}},
	} {
		for _, c := range group.commands {
			c.Category = group.heading
			all = append(all, c)
		}
	}
	return all
}
