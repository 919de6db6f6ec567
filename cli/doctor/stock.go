package doctor

import (
	"context"
	"strings"

	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/findings"
	"github.com/composerp/composerp/store/planning"
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

const receiptAdvice = "the goods are in stock, and the order still awaits them: take them out again (STOCK_ADJUSTED) and publish the receipt anew " +
	"with the order's number (composerp po list); if they were for no order, nothing is to be done"

// acknowledging is what to do about a finding in the end.
const acknowledging = "; then composerp finding acknowledge ID --reason TEXT (composerp finding list has the ids)"

// examineStock reports what warehouses reported that does not fit together. Stock is what they reported all the same.
func (x *Examination) examineStock(ctx context.Context, db *store.DB) {
	found, err := findings.List(ctx, db)
	if err != nil {
		x.unasked(findings.Transfers, err)
		return
	}
	of := func(check, kind string, state findings.State) (some []string) {
		for _, f := range found {
			if f.Recent && f.Check == check && (kind == "" || f.Kind == kind) && f.State == state {
				some = append(some, at(f))
			}
		}
		return some
	}
	if some := of(findings.Receipts, "", findings.Open); len(some) > 0 {
		x.warn(findings.Receipts, receiptAdvice+acknowledging, "%s", examples(some))
	}
	for _, a := range transferAdvice {
		if some := of(findings.Transfers, a.kind, findings.Open); len(some) > 0 {
			x.warn(findings.Transfers, a.do+acknowledging, "goods %s: %s", a.what, examples(some))
		}
	}
	for _, c := range []struct{ check, well string }{
		{findings.Transfers, "what was received by transfers was sent there, and nothing is on its way for too long"},
		{findings.Receipts, "every receipt that names an order counts against it"},
	} {
		if some := of(c.check, "", findings.Acknowledged); len(some) > 0 {
			x.ok(c.check, "acknowledged: %s", examples(some))
		} else if !x.has(c.check) {
			x.ok(c.check, "%s", c.well)
		}
	}
}

// at is a finding about an item at a location.
func at(f findings.Finding) string {
	text := f.Tenant + "/" + f.Item + "/" + f.Location + ": " + f.Problem
	if f.State == findings.Acknowledged {
		text += " (" + f.By + ": " + f.Reason + ")"
	}
	return text
}

// examples joins the first of the texts, and counts the others.
func examples(of []string) string {
	text := strings.Join(of[:min(len(of), shownExamples)], "; ")
	if more := len(of) - shownExamples; more > 0 {
		text += "; and " + wording.Thousands(int64(more)) + " more"
	}
	return text
}
