package cli_test

import "strings"

// orderGoldens are those of purchase orders, of a tenant of its own: one that the
// policy has approved, one too dear for it, one without a price. The fleet has
// made them before the first golden runs, which is the audit. Each can be decided
// about once.
func orderGoldens(h *environment) []goldenLine {
	for _, line := range []string{
		"tenant set --approval-limit 100",
		"supplier set --supplier smith --name Smith --lead-time-days 4",
		"item set --item cup --name Cup --unit-cost 2.5",
		"rule set --item cup --location LON --supplier smith --reorder-point 10 --order-up-to 40",
		"rule set --item jug --location LON --supplier smith --reorder-point 4 --order-up-to 12",
		`publish STOCK_COUNTED --id 0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a41 --data {"countId":"C1","itemId":"cup","locationId":"LON","quantity":5,"timestamp":"2026-02-02T08:00:00Z"}`,
		`publish SALE_COMPLETED --id 0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a42 --data {"saleId":"S1","itemId":"cup","locationId":"LON","quantity":60,"amount":240,"timestamp":"2026-02-02T10:01:00Z"}`,
		`publish RECEIPT_COMPLETED --id 0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a43 --data {"receiptId":"R1","itemId":"cup","locationId":"LON","quantity":20,"timestamp":"2026-02-03T07:30:00Z"}`,
		`publish STOCK_COUNTED --id 0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a44 --data {"countId":"C2","itemId":"jug","locationId":"LON","quantity":0,"timestamp":"2026-02-03T08:00:00Z"}`,
	} {
		h.ok(append(strings.Fields(line), "--tenant", "t3")...)
	}
	of := func(args ...string) []string { return append(args, "--tenant", "t3") }
	return []goldenLine{
		{command: "po list", args: of()},
		{command: "po list", as: "po_list_pending", args: of("--status", "pending")},
		{command: "po show", args: of("PO-2026-000001"), mask: []string{"sentAt"}},
		{command: "why", args: of("PO-2026-000001"), mask: []string{"seq", "loggedAt", "sentAt"}},
		{command: "why stock", args: of("cup", "LON", "--last", "2"), mask: []string{"loggedAt"}},
		{command: "po show", as: "po_show_pending", args: of("PO-2026-000002")},
		{command: "po approve", args: of("PO-2026-000002", "--operator", "ann"), noTable: true},
		{command: "po close", args: of("PO-2026-000001", "--operator", "ann", "--reason", "sold out", "--dry-run")},
		{command: "po reject", args: of("PO-2026-000003", "--operator", "ann", "--reason", "no room"), noTable: true},
	}
}
