package cli

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/store/notifications"
)

func noticeCommand() *cli.Command {
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
				outputFlag(), databaseFlag(), dirFlag(),
			},
			Action: noticeList,
		}},
	}
}

func noticeList(cctx *cli.Context) error {
	if err := noArguments(cctx); err != nil {
		return err
	}
	limit := cctx.Int("limit")
	if limit < 0 {
		return usage("--limit %d: want 0 or more", limit)
	}
	db, _, err := openSchema(cctx, "notice", 1)
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
		say(cctx, "these are the newest %d; --limit 0 shows all", limit)
	}
	return show(cctx, notices, func(w io.Writer) {
		row(w, "SAID", "TENANT", "TO", "TOLD", "TRIES", "ANSWER", "HAPPENED", "SUMMARY")
		for _, n := range notices {
			told := "no"
			if n.Delivered {
				told = "yes"
			}
			row(w, moment(n.SaidAt), n.Tenant, n.Channel, told, n.Attempts, n.Answer, moment(n.OccurredAt), n.Summary)
		}
	})
}
