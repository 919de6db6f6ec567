package why

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockhistory"
)

func stockAsked(cctx *cli.Context) (q stockhistory.Question, err error) {
	if cctx.NArg() != 2 {
		return q, errTwoNames
	}
	q.Tenant, q.Item, q.Location = cctx.String("tenant"), cctx.Args().Get(0), cctx.Args().Get(1)
	if q.Last, q.Before = cctx.Int("last"), cctx.Int64("before"); q.Last < 0 || q.Before < 0 {
		return q, exit.Usage("--last and --before want 0 or more")
	}
	q.AsOf, err = asOf(cctx)
	return q, err
}

func explainStock(cctx *cli.Context, db *store.DB, q stockhistory.Question) error {
	if q.Tenant == "" {
		tenants, err := stockhistory.TenantsOf(cctx.Context, db, q.Item, q.Location)
		switch {
		case err != nil:
			return err
		case len(tenants) > 1:
			return exit.Usage("%s have %s at %s: say which by --tenant", strings.Join(tenants, " and "), q.Item, q.Location)
		case len(tenants) == 1:
			q.Tenant = tenants[0]
		}
	}
	folder, err := archive.Given(cctx.Context, cctx, db)
	if err != nil {
		return err
	}
	if folder != nil {
		defer folder.Close()
	}
	q.Archives = folder
	x, err := stockhistory.Explain(cctx.Context, db, q)
	if errors.Is(err, store.ErrNotFound) {
		return unknownPosition(cctx, db, masterdata.PositionKey{Tenant: cctx.String("tenant"), Item: q.Item, Location: q.Location})
	}
	if err != nil {
		return err
	}
	if err := terminal.Show(cctx, x, func(w io.Writer) { stockTable(w, &x) }); err != nil {
		return err
	}
	if err := tellArchived(cctx, db, &x); err != nil {
		return err
	}
	for _, f := range x.Faults {
		terminal.Say(cctx, "it does not add up: %s", f)
	}
	switch {
	case len(x.Faults) > 0:
		terminal.Say(cctx, "`composerp audit --full` checks all positions")
		return exit.Findings("the movements do not give the figure")
	case x.Behind > 0:
		terminal.Say(cctx, "stock has not seen the last %d movements yet: `composerp worker describe stockview`", x.Behind)
		return exit.InFlight("the read model is behind")
	}
	return nil
}

// tellArchived says why movements name no document.
func tellArchived(cctx *cli.Context, db *store.DB, x *stockhistory.Explanation) error {
	missing := slices.ContainsFunc(x.Movements, func(m stockhistory.Movement) bool { return m.Type == "" })
	if !missing || cctx.Path(archive.FlagArchives) != "" {
		return nil
	}
	return archive.TellCut(cctx, db, "what the events of older movements name is not shown")
}

// unknownPosition says what there is with such names.
func unknownPosition(cctx *cli.Context, db *store.DB, k masterdata.PositionKey) error {
	items, locations, err := stockhistory.Near(cctx.Context, db, k)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s has never moved at %s", k.Item, k.Location)
	if k.Tenant != "" {
		what += " of tenant " + k.Tenant
	}
	if len(locations) > 0 {
		return exit.Usage("%s; %s`composerp stock --item %s` shows where it stands", what, meant(k.Location, locations, "it has moved at "), terminal.ShellWord(k.Item))
	}
	return exit.Usage("%s; %s`composerp stock` shows what there is", what, meant(k.Item, items, "there are "))
}

func stockTable(w io.Writer, x *stockhistory.Explanation) {
	terminal.Row(w, "NUMBER", "BUSINESS TIME", "WHAT", "QUANTITY", "ON HAND", "BY", "EVENT")
	if x.Opening != nil {
		terminal.Row(w, "", "", "opening balance", "", x.Opening.OnHand, wording.Count(x.Opening.Movements, "movement")+" before are kept no more", "")
	}
	if x.Before != nil {
		terminal.Row(w, "", "", "before", "", x.Before.OnHand, wording.Count(x.Before.Movements, "movement")+" more", "")
	}
	for i := range x.Movements {
		m := &x.Movements[i]
		what := strings.ToLower(m.Kind)
		if m.Correction {
			what = "count, corrected"
		}
		terminal.Row(w, fmt.Sprint(m.Sequence), terminal.Moment(m.OccurredAt), what, m.Quantity, m.OnHand, documents(&m.Documents), m.EventID)
	}
	if n := len(x.Movements); n == 0 {
		terminal.Row(w, terminal.None)
	} else if last := &x.Movements[n-1]; !last.OnHand.Equal(x.OnHand) {
		terminal.Row(w, "", "", "later", last.OnHand.Sub(x.OnHand).Neg(), x.OnHand, "movements after these", "")
	}
	end, note := "on hand now", ""
	if x.AsOf != nil {
		end = "on hand then"
	} else if !x.Reserved.IsZero() {
		note = fmt.Sprintf("%s reserved, %s available", x.Reserved, x.OnHand.Sub(x.Reserved))
	}
	terminal.Row(w, "", "", end, "", x.OnHand, note, "")
	if x.Shown != nil {
		terminal.Row(w, "", "", "stock shows", "", x.Shown.OnHand, "", "")
	}
}

// documents are what the event names, and "-" where the log does not have it.
func documents(d *stockhistory.Documents) string {
	var words []string
	for _, named := range [][2]string{{"sale", d.Sale}, {"receipt", d.Receipt}, {"transfer", d.Transfer}, {"adjustment", d.Adjustment}, {"count", d.Count}, {"order", d.Order}, {"", d.Reason}} {
		if named[1] != "" {
			words = append(words, strings.TrimSpace(named[0]+" "+named[1]))
		}
	}
	return wording.OneLine(cmp.Or(strings.Join(words, ", "), "-"))
}
