package cli_test

import (
	"github.com/composerp/composerp/cli"
	"github.com/composerp/composerp/store/storetest"
)

// orderGoldens are those of purchase orders, of a tenant of its own. Each of the
// orders can be decided about once.
func orderGoldens(h *house) []golden {
	storetest.Exec(h, h.database, cli.SeedOrders)
	return []golden{
		{command: "po list", args: []string{"--tenant", "t3"}},
		{command: "po list", as: "po_list_pending", args: []string{"--tenant", "t3", "--status", "pending"}},
		{command: "po show", args: []string{"o-1"}},
		{command: "po show", as: "po_show_rejected", args: []string{"PO-2026-000004", "--tenant", "t3"}},
		{command: "po approve", args: []string{"o-2", "--by", "ann"}, noTable: true},
		{command: "po reject", args: []string{"o-3", "--by", "ann", "--reason", "no room"}, noTable: true},
	}
}
