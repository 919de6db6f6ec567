package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/deploy/demo"
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "bring everything up and feed it a small seeded shop",
		Description: "Like `up`, and then three weeks of a shop with a warehouse and two stores: one till says its sales to\n" +
			"the log, the other publishes them to the exchange itself. At the end it shows what happened, proves it,\n" +
			"and stays up until interrupted, or ends with --exit. The same seed again changes nothing.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "exit", Usage: "end when it has been shown"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "which shop"},
			&cli.DurationFlag{Name: "wait", Value: 2 * time.Minute, Usage: "how long to wait for the fleet to be quiet"},
		}, upFlags()...),
		Action: func(cctx *cli.Context) error {
			if err := noArguments(cctx); err != nil {
				return err
			}
			shop, err := demo.NewShop(cctx.Uint64("seed"))
			if err != nil {
				return err
			}
			return up(cctx, func(ctx context.Context, r *running) error { return play(ctx, cctx, r, shop) })
		},
	}
}

// play feeds the shop to a fleet that is up, waits, and shows what became of it.
func play(ctx context.Context, cctx *cli.Context, r *running, shop *demo.Shop) error {
	db, err := openDatabase(ctx, r.endpoints, "demo", 2)
	if err != nil {
		return err
	}
	defer db.Close()
	say(cctx, "a small shop opens: %d events through the log, %d straight to the exchange ...", len(shop.Logged), len(shop.Direct))
	began := time.Now()
	fresh, err := feed(ctx, cctx, db, r.endpoints, shop)
	if err != nil {
		return err
	}
	report, err := runAudit(ctx, cctx, db, r.endpoints, cctx.Duration("wait"))
	if err != nil {
		return err
	}
	if err := tellStory(ctx, cctx.App.Writer, db, shop, fresh, time.Since(began)); err != nil {
		return err
	}
	fmt.Fprint(cctx.App.Writer, "\n"+report.Table())
	if !report.Proven() {
		return findings{"the audit has findings"}
	}
	if cctx.Bool("exit") {
		return errDone
	}
	say(cctx, "\nstill up; look around, and stop it with Ctrl-C")
	return nil
}

// feed says the shop's events on both roads and gives how many were new to the log.
func feed(ctx context.Context, cctx *cli.Context, db *store.DB, at endpoints, shop *demo.Shop) (int, error) {
	if err := db.SetThresholds(ctx, shop.Thresholds); err != nil {
		return 0, err
	}
	fresh := 0
	for batch := range chunks(shop.Logged, 500) {
		verdicts, err := db.Admit(ctx, batch, true)
		if err != nil {
			return fresh, err
		}
		for _, v := range verdicts {
			if v == store.Admitted {
				fresh++
			}
		}
	}
	log, err := logger(cctx)
	if err != nil {
		return fresh, err
	}
	broker, err := brokerConfig(at, log)
	if err != nil {
		return fresh, err
	}
	broker.Name = "till"
	return fresh, publishDirect(ctx, broker, shop.Direct)
}

// publishDirect is what an outsider's till does: it publishes to composerp.events and waits for the confirms.
func publishDirect(ctx context.Context, broker exchange.Config, events []event.Any) error {
	session, err := exchange.Open(ctx, broker)
	if err != nil {
		return err
	}
	defer session.Close()
	publisher, err := session.Publisher(0)
	if err != nil {
		return err
	}
	confirmations := make([]*exchange.Confirmation, len(events))
	for i, e := range events {
		confirmations[i], err = publisher.Publish(ctx, exchange.Message{
			Exchange: exchange.Events, RoutingKey: e.Type.RoutingKey(), ID: e.ID.String(), Type: string(e.Type), Body: e.Body, Timestamp: e.Timestamp,
		})
		if err != nil {
			return err
		}
	}
	for _, c := range confirmations {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

func chunks[T any](all []T, size int) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n := min(size, len(all))
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// tellStory shows what happened in the shop.
func tellStory(ctx context.Context, out io.Writer, db *store.DB, shop *demo.Shop, fresh int, took time.Duration) error {
	summary, err := db.Summary(ctx, demo.Tenant)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row(w, "\nWHAT HAPPENED")
	if fresh == 0 {
		row(w, "  nothing new: this shop has been here before, and every event was recognised")
	}
	for _, s := range summary {
		row(w, "  "+s.What, s.Count, s.Units+" units")
	}
	row(w, "  events said", len(shop.Logged)+len(shop.Direct), fmt.Sprintf("handled and proven in %s", took.Round(10*time.Millisecond)))
	row(w, "\nSTOCK", "", "")
	row(w, "  ITEM", "LOCATION", "ON HAND", "LAST MOVEMENT", "LOW", "NAME")
	rows, err := db.StockRows(ctx, store.PositionKey{Tenant: demo.Tenant})
	if err != nil {
		return err
	}
	const shown = 12
	for _, s := range rows[:min(shown, len(rows))] {
		low := ""
		if s.Low {
			low = "low"
		}
		row(w, "  "+s.Item, s.Location, s.OnHand, s.LastMovement.UTC().Format(time.DateTime), low, s.ItemName)
	}
	if len(rows) > shown {
		row(w, fmt.Sprintf("  ... and %d more: composerp stock", len(rows)-shown))
	}
	return w.Flush()
}
