package doctor

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/findings"
	"github.com/composerp/composerp/store/operatorlog"
)

// FindingCommand is the command `finding`.
func FindingCommand() *cli.Command {
	return &cli.Command{
		Name:  "finding",
		Usage: "what was reported from outside and does not fit together, and what was said about it",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the findings about transfers and receipts",
				Flags:  settings.DatabaseFlags(&cli.BoolFlag{Name: "all", Usage: "also those older than 30 days, and acknowledged ones that are past"}),
				Action: settings.OnSchema("finding", 1, settings.Nothing, findingList),
			},
			{
				Name: "acknowledge", Usage: "record that findings need nothing more, and why", ArgsUsage: "ID...",
				Description: "doctor and audit show them as acknowledged from then on. A finding that changes is another one, and open.",
				Flags: settings.DatabaseFlags(
					&cli.StringFlag{Name: settings.FlagReason, Usage: "why nothing more is to be done; required"},
					settings.FlagOf(settings.FlagOperator),
				),
				Action: settings.OnSchema("finding", 1, acknowledged, findingAcknowledge),
			},
		},
	}
}

func findingList(cctx *cli.Context, db *store.DB, _ struct{}) error {
	return showFindings(cctx, db, func(f findings.Finding) bool {
		return cctx.Bool("all") || f.Recent && f.State != findings.Past
	})
}

func showFindings(cctx *cli.Context, db *store.DB, shown func(findings.Finding) bool) error {
	found, err := findings.List(cctx.Context, db)
	if err != nil {
		return err
	}
	list := []findings.Finding{}
	for _, f := range found {
		if shown(f) {
			list = append(list, f)
		}
	}
	header := []any{"ID", "CHECK", "TENANT", "ITEM", "LOCATION", "STATE", "PROBLEM", "BY", "REASON"}
	return terminal.ShowRows(cctx, list, header, func(f *findings.Finding) []any {
		return []any{f.ID, f.Check, f.Tenant, f.Item, f.Location, f.State, f.Problem, f.By, f.Reason}
	})
}

// acknowledgement is what a person says about findings.
type acknowledgement struct {
	ids []string
	by  operatorlog.By
}

func acknowledged(cctx *cli.Context) (a acknowledgement, err error) {
	a = acknowledgement{cctx.Args().Slice(), settings.By(cctx)}
	switch {
	case len(a.ids) == 0:
		return a, exit.Usage("name the findings; composerp finding list shows their ids")
	case strings.TrimSpace(a.by.Reason) == "":
		return a, exit.Usage("--%s: say why nothing more is to be done", settings.FlagReason)
	}
	return a, nil
}

func findingAcknowledge(cctx *cli.Context, db *store.DB, a acknowledgement) error {
	err := findings.Acknowledge(cctx.Context, db, a.by, a.ids)
	if errors.Is(err, store.ErrNotFound) {
		return exit.Usage("%s; nothing was acknowledged: composerp finding list --all shows the ids", exit.OneLine(err))
	}
	if err != nil {
		return err
	}
	return showFindings(cctx, db, func(f findings.Finding) bool {
		for _, id := range a.ids {
			if f.ID == id {
				return true
			}
		}
		return false
	})
}
