package events

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/audit"
)

func AuditCommand() *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "prove that nothing is lost and nothing applied twice",
		Description: "Waits until the fleet is quiet, then holds the log against the broker, the inboxes and the ledger:\n" +
			"every event is published; every consumer that owes an event has handled it, or it is dead; every position\n" +
			"is the sum of its movements and what the log's events imply; items sum to zero; nothing is unrouted or\n" +
			"stuck. What was proven before is not counted again, unless --full is given. Beside the load, when the fleet\n" +
			"does not become quiet, it proves all but what is on its way: a wait of 30s or more tells loss from delay.\n" +
			"Exits 0 when all of it holds, 2 with the names of what does not, 3 when nothing is wrong and something is\n" +
			"still on its way.",
		Flags: settings.ConnectionFlags(
			&cli.DurationFlag{Name: "wait", Value: 2 * time.Minute, Usage: "how long to wait for the fleet to be quiet"},
			&cli.BoolFlag{Name: "full", Usage: "count everything again, whatever was proven before"},
			terminal.OutputFlag(),
		),
		Action: auditFleet,
	}
}

func auditFleet(cctx *cli.Context) error {
	if err := settings.NoArguments(cctx); err != nil {
		return err
	}
	db, e, err := settings.OpenSchema(cctx, "audit", 2)
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := RunAudit(cctx.Context, cctx, db, e, cctx.Duration("wait"), cctx.Bool("full"))
	if err != nil {
		return err
	}
	if cctx.String(terminal.FlagOutput) == "json" {
		encoder := json.NewEncoder(cctx.App.Writer)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Fprint(cctx.App.Writer, report.Table())
	}
	return Verdict(report)
}

// verdict is what the exit code tells.
func Verdict(r audit.Report) error {
	switch r.Verdict {
	case audit.Proven:
		return nil
	case audit.InFlight:
		return exit.InFlight{What: "something is still in flight"}
	}
	return exit.Findings{What: "the audit has findings"}
}

func RunAudit(ctx context.Context, cctx *cli.Context, db *store.DB, e settings.Endpoints, wait time.Duration, full bool) (audit.Report, error) {
	log, err := settings.Logger(cctx)
	if err != nil {
		return audit.Report{}, err
	}
	broker, err := settings.BrokerConfig(e, log)
	if err != nil {
		return audit.Report{}, err
	}
	broker.Name = "audit"
	management, err := settings.ManagementClient(e)
	if err != nil {
		return audit.Report{}, err
	}
	progress := terminal.NewStatus(cctx.App.ErrWriter)
	defer progress.End()
	return audit.Run(ctx, audit.Config{
		DB: db, Broker: broker, Management: management, Topology: workers.Topology(), Full: full, Wait: wait, Progress: progress.Say,
	})
}
