package planner

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store/notifications"
)

// NotificationCommand is the command `notification`.
func NotificationCommand() *cli.Command {
	return &cli.Command{
		Name:  "notification",
		Usage: "notifications of orders, low stock and expiring lots",
		Subcommands: []*cli.Command{{
			Name: "list", Usage: "list the newest notifications",
			Description: "Each line is an event as one channel got it: webhook, alertmanager, or log where no URL is set.\n" +
				"ANSWER is the response to the last attempt. Undelivered notifications wait in a retry queue or are dead letters.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "tenant", Usage: "this tenant only"},
				&cli.BoolFlag{Name: "undelivered", Usage: "only what was not delivered"},
				&cli.IntFlag{Name: "limit", Value: 50, Usage: "at most this many; 0: all"},
				terminal.OutputFlag(), settings.DatabaseFlag(), settings.DirFlag(),
			},
			Action: notificationList,
		}},
	}
}

func notificationList(cctx *cli.Context) error {
	limit := cctx.Int("limit")
	if limit < 0 {
		return exit.Usage("--limit %d: want 0 or more", limit)
	}
	db, _, err := settings.OpenSchema(cctx, "notification", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	wanted := limit
	if limit > 0 {
		wanted++ // to know that there are more
	}
	list, err := notifications.List(cctx.Context, db, cctx.String("tenant"), cctx.Bool("undelivered"), wanted)
	if err != nil {
		return err
	}
	if limit > 0 && len(list) > limit {
		list = list[:limit]
		terminal.Say(cctx, "these are the newest %d; --limit 0 shows all", limit)
	}
	return terminal.Show(cctx, list, func(w io.Writer) {
		terminal.Row(w, "SENT", "TENANT", "TO", "DELIVERED", "TRIES", "ANSWER", "HAPPENED", "SUMMARY")
		for _, n := range list {
			delivered := "no"
			if n.Delivered {
				delivered = "yes"
			}
			terminal.Row(w, terminal.Moment(n.AttemptedAt), n.Tenant, n.Channel, delivered, n.Attempts, n.Answer, terminal.Moment(n.OccurredAt), n.Summary)
		}
	})
}
