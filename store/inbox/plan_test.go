package inbox_test

import (
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
)

// A claim reads older generations by their keys, however large they have grown.
func TestAClaimLooksUpOldGenerationsByTheirKeys(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	p.Exec(`INSERT INTO inbox (generation, consumer, event_id) SELECT 1, 1, gen_random_uuid() FROM generate_series(1, 50000)`)
	storetest.MustGet(inbox.Rotate(t.Context(), p.DB, 0))(t)
	p.Exec(`INSERT INTO inbox (generation, consumer, event_id) SELECT 2, 1, gen_random_uuid() FROM generate_series(1, 50000)`)
	var ids []string
	storetest.Must(t, sqlx.NewDb(p.SQL(), "postgres").Select(&ids, `SELECT event_id FROM inbox ORDER BY event_id LIMIT 200`))
	list := `'{` + strings.Join(ids, ",") + `}'`
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			p.Exec(`ANALYZE`)
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			seen := p.Explain(mode+storetest.Untuned, inbox.ClaimEvents, "smallint, uuid[]", 1, list)
			seen.Walk(func(n storetest.Plan) {
				if strings.HasPrefix(n.Relation, "inbox_") && n.Relation != "inbox_generation" && strings.Contains(n.NodeType, "Seq Scan") && n.Loops > 0 {
					t.Errorf("%s, analyzed %t: a whole generation is read\n%v", mode, analyzed, seen)
				}
			})
		}
	}
}
