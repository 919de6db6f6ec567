package store_test

import (
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/composerp/composerp/store"
)

// A claim looks into older generations by their keys, however large they have grown.
func TestAClaimLooksUpOldGenerationsByTheirKeys(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	p.exec(`INSERT INTO inbox (generation, consumer, event_id) SELECT 1, 1, gen_random_uuid() FROM generate_series(1, 50000)`)
	must2(p.RotateInbox(t.Context(), 0))(t)
	p.exec(`INSERT INTO inbox (generation, consumer, event_id) SELECT 2, 1, gen_random_uuid() FROM generate_series(1, 50000)`)
	var ids []string
	must(t, sqlx.NewDb(p.SQL(), "postgres").Select(&ids, `SELECT event_id FROM inbox ORDER BY event_id LIMIT 200`))
	list := `'{` + strings.Join(ids, ",") + `}'`
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			p.exec(`ANALYZE`)
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			seen := p.explain(mode+untuned, store.ClaimEvents, "smallint, uuid[]", 1, list)
			seen.walk(func(n plan) {
				if strings.HasPrefix(n.Relation, "inbox_") && n.Relation != "inbox_generation" && strings.Contains(n.NodeType, "Seq Scan") && n.Loops > 0 {
					t.Errorf("%s, analyzed %t: a whole generation is read\n%v", mode, analyzed, seen)
				}
			})
		}
	}
}
