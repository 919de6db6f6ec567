package inbox_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
)

// A claim reads generations by their keys, however large they have grown, and so does the question what was handled.
func TestTheInboxIsReadByItsKeys(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	p.Exec(`INSERT INTO inbox (generation, consumer, event_id) SELECT 1, 1, gen_random_uuid() FROM generate_series(1, 50000)`)
	storetest.MustGet(inbox.Rotate(t.Context(), p.DB, 0))(t)
	p.Exec(`INSERT INTO inbox (generation, consumer, event_id) SELECT 2, 1, gen_random_uuid() FROM generate_series(1, 50000)`)
	var ids []string
	storetest.Must(t, sqlx.NewDb(p.SQL(), "postgres").Select(&ids, `SELECT event_id FROM inbox ORDER BY event_id LIMIT 200`))
	claimNew := strings.NewReplacer("claimant", "$1", "unnest(ids)", "unnest($2)").Replace(
		storetest.One[string](t, p.SQL(), `SELECT substring(prosrc FROM 'INSERT [^;]*') FROM pg_proc WHERE proname = 'claim_new'`))
	list := `'{` + strings.Join(ids, ",") + `}'`
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			p.Exec(`ANALYZE`)
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			for what, query := range map[string]string{"claiming": inbox.ClaimEvents, "claiming new ones": claimNew, "asking": inbox.AreHandled} {
				of := list
				if what == "claiming new ones" {
					of = `'{` + uuid.NewString() + `}'`
				}
				seen := p.Explain(mode+storetest.Untuned, query, "smallint, uuid[]", 1, of)
				seen.Walk(func(n storetest.Plan) {
					if strings.HasPrefix(n.Relation, "inbox_") && n.Relation != "inbox_generation" && n.Loops > 0 && !strings.Contains(n.Cond, "event_id") && strings.Contains(n.NodeType, "Scan") {
						t.Errorf("%s, %s, analyzed %t: all of a consumer's rows are read\n%v", what, mode, analyzed, seen)
					}
				})
			}
		}
	}
}
