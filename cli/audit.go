package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/audit"
)

func auditCommand() *cli.Command {
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
		Flags: connectionFlags(
			&cli.DurationFlag{Name: "wait", Value: 2 * time.Minute, Usage: "how long to wait for the fleet to be quiet"},
			&cli.BoolFlag{Name: "full", Usage: "count everything again, whatever was proven before"},
			outputFlag(),
		),
		Action: auditFleet,
	}
}

func auditFleet(cctx *cli.Context) error {
	if err := noArguments(cctx); err != nil {
		return err
	}
	db, e, err := openSchema(cctx, "audit", 2)
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := runAudit(cctx.Context, cctx, db, e, cctx.Duration("wait"), cctx.Bool("full"))
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
	return verdict(report)
}

// verdict is what the exit code tells.
func verdict(r audit.Report) error {
	switch r.Verdict {
	case audit.Proven:
		return nil
	case audit.InFlight:
		return inFlight{"something is still in flight"}
	}
	return findings{"the audit has findings"}
}

func runAudit(ctx context.Context, cctx *cli.Context, db *store.DB, e endpoints, wait time.Duration, full bool) (audit.Report, error) {
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
		DB: db, Exchange: broker, Management: management, Topology: workers.Topology(), Full: full, Wait: wait, Progress: progress.say,
	})
}
