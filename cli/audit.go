package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/exchange/audit"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
)

func auditCommand() *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "prove that nothing is lost and nothing applied twice",
		Description: "Waits until the fleet is quiet, then holds the log against the broker, the inboxes and the ledger:\n" +
			"every event is published; every consumer that owes an event has handled it, or it is dead; every position\n" +
			"is the sum of its movements and what the log's events imply; items sum to zero; nothing is unrouted or\n" +
			"stuck. Exits 0 when all of it holds, 2 with the names of what does not, or of what is still in flight.",
		Flags: connectionFlags(
			&cli.DurationFlag{Name: "wait", Value: 2 * time.Minute, Usage: "how long to wait for the fleet to be quiet"},
			outputFlag(),
		),
		Action: auditFleet,
	}
}

func auditFleet(cctx *cli.Context) error {
	if err := noArguments(cctx); err != nil {
		return err
	}
	if err := checkOutput(cctx); err != nil {
		return err
	}
	db, e, err := openSchema(cctx, "audit", 2)
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := runAudit(cctx.Context, cctx, db, e, cctx.Duration("wait"))
	if err != nil {
		return err
	}
	if cctx.String(flagOutput) == "json" {
		encoder := json.NewEncoder(cctx.App.Writer)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Fprint(cctx.App.Writer, report.Table())
	}
	if !report.Proven() {
		return findings{"the audit has findings"}
	}
	return nil
}

func runAudit(ctx context.Context, cctx *cli.Context, db *store.DB, e endpoints, wait time.Duration) (audit.Report, error) {
	log, err := logger(cctx)
	if err != nil {
		return audit.Report{}, err
	}
	broker, err := brokerConfig(e, log)
	if err != nil {
		return audit.Report{}, err
	}
	broker.Name = "audit"
	management, err := managementClient(e)
	if err != nil {
		return audit.Report{}, err
	}
	progress := newStatus(cctx.App.ErrWriter)
	defer progress.end()
	return audit.Run(ctx, audit.Config{
		DB: db, Exchange: broker, Management: management, Topology: workers.Topology(), Wait: wait, Progress: progress.say,
	})
}
