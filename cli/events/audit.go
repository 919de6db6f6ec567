// Package events has the commands that work on the event log: import, publish, republish, audit, migrate and epoch.
package events

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/audit"
)

// AuditCommand is the command `audit`.
func AuditCommand() *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "prove that nothing is lost and nothing applied twice",
		Description: "Waits until the fleet is quiet, then compares the log with the broker, the inboxes and the ledger: every event is\n" +
			"published; every consumer of an event has handled it, or has it as a dead letter; every position is the sum of its\n" +
			"movements, which follow from the log's events; items sum to zero; no event is unrouted or stuck. Without --full only\n" +
			"what is new since the last audit is checked. Under load the fleet does not become quiet: then events in flight are\n" +
			"left out, and a --wait of 30s or more distinguishes loss from delay. Exits 0 when everything holds, 2 with\n" +
			"findings, 3 when nothing is wrong and events are still in flight.",
		Flags: settings.ConnectionFlags(append(signingFlags(),
			&cli.DurationFlag{Name: "wait", Value: 2 * time.Minute, Usage: "how long to wait for the fleet to be quiet"},
			&cli.BoolFlag{Name: "full", Usage: "check the whole log, not only what is new"},
			terminal.OutputFlag(),
		)...),
		Action: auditFleet,
	}
}

func auditFleet(cctx *cli.Context) error {
	receipt, err := signingAsked(cctx)
	if err != nil {
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
	if err := terminal.Show(cctx, report, func(w io.Writer) { fmt.Fprint(w, report.Table()) }); err != nil {
		return err
	}
	if receipt.key != nil && report.Proven() {
		if err := receipt.sign(cctx, db, string(report.Verdict)); err != nil {
			return err
		}
	}
	return Verdict(report)
}

// Verdict is the error that gives the exit code.
func Verdict(r audit.Report) error {
	switch r.Verdict {
	case audit.Proven:
		return nil
	case audit.InFlight:
		return exit.InFlight("something is still in flight")
	}
	return exit.Findings("the audit has findings")
}

// RunAudit runs the audit and shows its progress.
func RunAudit(ctx context.Context, cctx *cli.Context, db *store.DB, e settings.Endpoints, wait time.Duration, full bool) (audit.Report, error) {
	broker, err := settings.LoggedBroker(cctx, e, "audit")
	if err != nil {
		return audit.Report{}, err
	}
	management, err := settings.ManagementClient(e)
	if err != nil {
		return audit.Report{}, err
	}
	needed, err := workers.TopologyNow(ctx, db)
	if err != nil {
		return audit.Report{}, err
	}
	progress := terminal.NewStatus(cctx.App.ErrWriter)
	defer progress.End()
	return audit.Run(ctx, audit.Config{
		DB: db, Broker: broker, Management: management, Topology: needed, Full: full, Wait: wait, Progress: progress.Say,
	})
}
