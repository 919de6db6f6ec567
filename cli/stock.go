package cli

import (
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/store"
)

func stockCommand() *cli.Command {
	return &cli.Command{
		Name:  "stock",
		Usage: "what stands where, as the stock read model knows it",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "tenant", Usage: "this tenant only"},
			&cli.StringFlag{Name: "item", Usage: "this item only"},
			&cli.StringFlag{Name: "location", Usage: "this location only"},
			outputFlag(), databaseFlag(), dirFlag(),
		},
		Action: stock,
	}
}

func stock(cctx *cli.Context) error {
	if err := noArguments(cctx); err != nil {
		return err
	}
	if err := checkOutput(cctx); err != nil {
		return err
	}
	db, _, err := openSchema(cctx, "stock", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.StockRows(cctx.Context, store.PositionKey{Tenant: cctx.String("tenant"), Item: cctx.String("item"), Location: cctx.String("location")})
	if err != nil {
		return err
	}
	return show(cctx, rows, func(w io.Writer) {
		row(w, "TENANT", "ITEM", "LOCATION", "ON HAND", "RESERVED", "AVAILABLE", "LAST MOVEMENT", "TYPE", "LOW", "NAME")
		for _, s := range rows {
			low := ""
			if s.Low {
				low = "low"
			}
			row(w, s.Tenant, s.Item, s.Location, s.OnHand, s.Reserved, s.Available, s.LastMovement.UTC().Format(time.DateTime), s.LastType, low, s.ItemName)
		}
	})
}
