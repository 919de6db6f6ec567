package cli_test

import "strings"

// erasureGoldens erase a field that a till of its own sends.
func erasureGoldens(h *environment) []goldenLine {
	const id = "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a51"
	asked := []string{id, "--fields", "payload.customerId", "--reason", "GDPR 17, request 12"}
	counted := func() {
		h.ok("publish", "STOCK_COUNTED", "--tenant", "t8", "--id", id, "--data",
			`{"countId":"C8","itemId":"cup","locationId":"SHOP","quantity":4,"customerId":"17850","timestamp":"2026-02-09T18:00:00Z"}`)
		h.until("the count is handled", func() bool {
			return strings.Contains(h.run(append([]string{"events", "erase", "--dry-run", "-o", "json"}, asked...)...).out, `"erased": 1`)
		})
	}
	return []goldenLine{
		{command: "events erase", args: append([]string{"--dry-run"}, asked...), as: "events_erase_dry_run", before: counted, mask: []string{"seq"}, noTable: true},
		{command: "events erase", args: append([]string{"--yes"}, asked...), mask: []string{"seq"}, noTable: true},
		{command: "events erasures", mask: []string{"erasure", "seq", "bodySha256", "standInSha256", "erasedAt", "operator"}, noTable: true},
		{command: "events show", as: "events_show_erased", args: []string{id}, mask: []string{"erasure", "seq", "bodySha256", "standInSha256", "erasedAt", "operator", "loggedAt"}, noTable: true},
	}
}
