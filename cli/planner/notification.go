package planner

import (
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
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
			Flags: settings.DatabaseFlags(
				&cli.StringFlag{Name: "tenant", Usage: "this tenant only"},
				&cli.BoolFlag{Name: "undelivered", Usage: "only what was not delivered"},
				&cli.IntFlag{Name: "limit", Value: 50, Usage: "at most this many; 0: all"},
			),
			Action: settings.OnSchema("notification", 1, terminal.Limit, notificationList),
		}},
	}
}

func notificationList(cctx *cli.Context, db *store.DB, limit int) error {
	list, err := terminal.Limited(cctx, limit, "the newest %d", func(most int) ([]notifications.Notification, error) {
		return notifications.List(cctx.Context, db, cctx.String("tenant"), cctx.Bool("undelivered"), most)
	})
	if err != nil {
		return err
	}
	header := []any{"SENT", "TENANT", "TO", "DELIVERED", "TRIES", "ANSWER", "HAPPENED", "SUMMARY"}
	return terminal.ShowRows(cctx, list, header, func(n *notifications.Notification) []any {
		return []any{terminal.Moment(n.AttemptedAt), n.Tenant, n.Channel, terminal.YesNo(n.Delivered), n.Attempts, n.Answer, terminal.Moment(n.OccurredAt), n.Summary}
	})
}
