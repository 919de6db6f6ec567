package doctor

import (
	"context"
	"strings"

	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/purchasing"
)

// transferAdvice is what to do about each kind of problem of transfers, in the order in which they are shown.
var transferAdvice = []struct{ kind, what, do string }{
	{planning.TransferLate, "too long on their way", "receive them at the destination (RECEIPT_COMPLETED with the transferId) and adjust away there what is lost; " +
		"until then they count as on their way. composerp tenant set --tenant NAME --transit-days N changes the limit"},
	{planning.TransferUnknown, "received by an unknown transfer", "publish the TRANSFER_INITIATED with that transferId, or correct the transferId where the warehouse keeps it"},
	{planning.TransferElsewhere, "received at another location than the transfer names", "if they stand there, send them on by a transfer of their own; if not, count both locations"},
	{planning.TransferSurplus, "received, and more than was sent", "publish a TRANSFER_INITIATED with the same transferId for what was left out, or count the destination"},
}

// shownExamples is how many examples a finding names.
const shownExamples = 3

// examineStock reports what warehouses reported that does not fit together. Stock is what they reported all the same.
func (x *Examination) examineStock(ctx context.Context, db *store.DB) {
	x.examineReceipts(ctx, db)
	found, err := planning.TransferProblems(ctx, db)
	if err != nil {
		x.unasked("transfers", err)
		return
	}
	for _, a := range transferAdvice {
		var of []string
		for _, p := range found {
			if p.Kind == a.kind {
				of = append(of, at(p.Tenant, p.Item, p.Location, p.Problem))
			}
		}
		if len(of) > 0 {
			x.warn("transfers", a.do, "goods %s: %s", a.what, examples(of))
		}
	}
	if len(found) == 0 {
		x.ok("transfers", "what was received by transfers was sent there, and nothing is on its way for too long")
	}
}

func (x *Examination) examineReceipts(ctx context.Context, db *store.DB) {
	found, err := purchasing.ReceiptProblems(ctx, db)
	switch {
	case err != nil:
		x.unasked("receipts", err)
	case len(found) == 0:
		x.ok("receipts", "every receipt that names an order counts against it")
	default:
		of := make([]string, len(found))
		for i, p := range found {
			of[i] = at(p.Tenant, p.Item, p.Location, p.Problem)
		}
		x.warn("receipts", "the goods are in stock, and the order still awaits them: take them out again (STOCK_ADJUSTED) and publish the receipt anew "+
			"with the order's number (composerp po list); if they were for no order, nothing is to be done", "%s", examples(of))
	}
}

// at is a problem of an item at a location.
func at(tenant, item, location, problem string) string {
	return tenant + "/" + item + "/" + location + ": " + problem
}

// examples joins the first of the texts, and counts the others.
func examples(of []string) string {
	text := strings.Join(of[:min(len(of), shownExamples)], "; ")
	if more := len(of) - shownExamples; more > 0 {
		text += "; and " + wording.Thousands(int64(more)) + " more"
	}
	return text
}
