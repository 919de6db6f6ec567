package purchasing_test

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/storetest"
)

// Plans live as long as their connection. One that is made while there are few orders must find an order by its key all
// the same.
func TestPlansOfASmallTableFindOrdersByTheirKey(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	for _, q := range someOrders {
		p.Exec(q)
	}
	p.Exec(`INSERT INTO tenant_setting (tenant_id, approval_limit) VALUES ('acme', 0)`)
	for _, c := range []struct {
		what, text, types string
		args              []any
	}{
		{"noting an order", purchasing.NoteCreatedSQL, "text[], text[], uuid[]", []any{`'{acme}'`, `'{o-1}'`, `'{00000000-0000-4000-8000-000000000001}'`}},
		{"approving it", purchasing.ApproveByPolicySQL, "text[], text[], timestamptz[], text", []any{`'{acme}'`, `'{o-1}'`, `'{2026-02-01}'`, `'ann'`}},
		{"checking its line's foreign key", `SELECT 1 FROM ONLY purchase_order x WHERE tenant_id = $1 AND purchase_order_id = $2 FOR KEY SHARE OF x`, "text, text", []any{`'acme'`, `'o-1'`}},
	} {
		seen := 0
		plan := p.Explain("force_generic_plan", c.text, c.types, c.args...)
		plan.Walk(func(n storetest.Plan) {
			if n.Relation != "purchase_order" || !strings.Contains(n.NodeType, "Scan") {
				return
			}
			seen++
			// All undecided orders, once a batch, are few.
			if n.Index != "purchase_order_undecided" && !strings.Contains(n.Cond, "purchase_order_id") {
				t.Errorf("%s reads orders by %q\n%v", c.what, n.Cond, plan)
			}
		})
		if seen == 0 {
			t.Errorf("%s reads no order\n%v", c.what, plan)
		}
	}
}
