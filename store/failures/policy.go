package failures

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Policies of dead letters
//
// The broker does not record which policy made a message expire, or a full queue give it up. So the watchdog keeps what
// policies set for the consumers' queues in queue_policy, with the time, and a letter is recorded with the policy that
// its queue had when it died.
//
// A policy is seen some seconds after it was set. What it did until then is recorded without it, and gets it when it is
// seen. Not known is a policy that was set and deleted between two looks, and that of a letter whose recording commits
// in the moment in which the policy is seen.

const (
	// policyDelay is how much later than it was set a policy may be seen.
	policyDelay = 20 * time.Second
	// policyKept is how long a policy is kept that is no longer in force.
	policyKept = 90 * 24 * time.Hour
)

var endPolicies = pg.SQL(`
UPDATE queue_policy p SET until = clock_timestamp()
WHERE p.until IS NULL AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS n (consumer, policy) WHERE n.consumer = p.consumer AND n.policy = p.policy)`)

// Another watchdog, whose lease is over, may do the same: what is in force is unique.
var beginPolicies = pg.SQL(`
WITH begun AS (
    INSERT INTO queue_policy (consumer, policy) SELECT * FROM unnest($1::text[], $2::text[])
    ON CONFLICT DO NOTHING RETURNING consumer, policy)
UPDATE dead_letter d SET policy = b.policy
FROM begun b WHERE d.consumer = b.consumer AND d.policy = '' AND d.died_at >= now() - make_interval(secs => $3)`)

var dropPolicies = pg.SQL(`DELETE FROM queue_policy WHERE until < now() - make_interval(secs => $1)`)

// NotePolicies records what policies set for the consumers' queues now, by consumer; a queue without a policy is left
// out. Letters of the last seconds whose policy was not known get it.
func NotePolicies(ctx context.Context, db *store.DB, inForce map[string]string) error {
	consumers := slices.Sorted(maps.Keys(inForce))
	policies := make(pq.StringArray, len(consumers))
	for i, c := range consumers {
		policies[i] = inForce[c]
	}
	err := db.InTx(ctx, func(tx store.Tx) error {
		if _, err := pg.Exec(ctx, tx, endPolicies, pq.StringArray(consumers), policies); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, beginPolicies, pq.StringArray(consumers), policies, policyDelay.Seconds()); err != nil {
			return err
		}
		_, err := pg.Exec(ctx, tx, dropPolicies, policyKept.Seconds())
		return err
	})
	if err != nil {
		return fmt.Errorf("noting the policies of %d queues: %w", len(inForce), err)
	}
	return nil
}
