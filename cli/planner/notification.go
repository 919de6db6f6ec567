package planner

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store/notifications"
)

func NotificationCommand() *cli.Command {
	return &cli.Command{
		Name:  "notice",
		Usage: "what was said to people of orders, low stock and expiring lots",
		Subcommands: []*cli.Command{{
			Name: "list", Usage: "the newest notices",
			Description: "Each line is an event as one channel was told of it: webhook, alertmanager, or log where no URL is set.\n" +
				"ANSWER is what came back from the last try; what is not told yet is on its way up the retry ladder, or dead.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "tenant", Usage: "this tenant only"},
				&cli.BoolFlag{Name: "untold", Usage: "only what has not arrived"},
				&cli.IntFlag{Name: "limit", Value: 50, Usage: "at most so many; 0: all"},
				terminal.OutputFlag(), settings.DatabaseFlag(), settings.DirFlag(),
			},
			Action: noticeList,
		}},
	}
}

func noticeList(cctx *cli.Context) error {
	if err := settings.NoArguments(cctx); err != nil {
		return err
	}
	limit := cctx.Int("limit")
	if limit < 0 {
		return exit.Usage("--limit %d: want 0 or more", limit)
	}
	db, _, err := settings.OpenSchema(cctx, "notice", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	wanted := limit
	if limit > 0 {
		wanted++ // to know that there are more
	}
	notices, err := notifications.List(cctx.Context, db, cctx.String("tenant"), cctx.Bool("untold"), wanted)
	if err != nil {
		return err
	}
	if limit > 0 && len(notices) > limit {
		notices = notices[:limit]
		terminal.Say(cctx, "these are the newest %d; --limit 0 shows all", limit)
	}
	return terminal.Show(cctx, notices, func(w io.Writer) {
		terminal.Row(w, "SAID", "TENANT", "TO", "TOLD", "TRIES", "ANSWER", "HAPPENED", "SUMMARY")
		for _, n := range notices {
			told := "no"
			if n.Delivered {
				told = "yes"
			}
			terminal.Row(w, terminal.Moment(n.SaidAt), n.Tenant, n.Channel, told, n.Attempts, n.Answer, terminal.Moment(n.OccurredAt), n.Summary)
		}
	})
}
