package planning_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/findings"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
)

// What does not fit together is named; what does is not.
func TestTransferProblems(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	p.Exec(`INSERT INTO replenishment_state (tenant_id, item_id, location_id, latest_at) VALUES ('shop', 'cup', 'depot', '2026-03-20Z'), ('slow', 'cup', 'depot', '2026-03-20Z')`)
	p.Exec(`INSERT INTO tenant_setting (tenant_id, transit_days) VALUES ('slow', 30)`)
	for _, row := range []string{
		`'arrived', 'north', 5, 5, '2026-01-01Z', '2026-01-02Z'`,
		`'young', 'north', 5, 0, '2026-03-10Z', NULL`,
		`'late', 'north', 5, 2, '2026-03-01Z', '2026-03-02Z'`,
		`'surplus', 'north', 5, 6, '2026-03-01Z', '2026-03-02Z'`,
		`'old surplus', 'north', 5, 6, '2026-01-01Z', '2026-01-02Z'`,
		`'unknown', 'north', 0, 2, NULL, '2026-03-02Z'`,
		`'stray', 'north', 7, 0, '2026-01-01Z', NULL`,
		`'stray', 'south', 0, 7, NULL, '2026-03-02Z'`,
		`'', '', 9, 1, NULL, NULL`,
	} {
		for _, tenant := range []string{"shop", "slow"} {
			p.Exec(fmt.Sprintf(`INSERT INTO transfer (tenant_id, item_id, transfer_id, location_id, sent, received, sent_at, received_at) VALUES ('%s', 'cup', %s)`, tenant, row))
		}
	}
	found, err := findings.List(t.Context(), p.DB)
	storetest.Must(t, err)
	var got []string
	for _, f := range found {
		if f.Recent && (f.Tenant == "shop" || f.Kind == planning.TransferLate) {
			got = append(got, f.Tenant+" "+f.Location+" "+f.Kind+": "+f.Problem)
		}
	}
	want := []string{
		"shop south elsewhere: 7 came by transfer stray, which was sent to north",
		"shop north late: 3 of transfer late is in transit since 2026-03-01, for longer than 14 days",
		"shop north surplus: 6 came by transfer surplus, and 5 was sent",
		"shop north unknown: 2 came by transfer unknown, which no TRANSFER_INITIATED names",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The database and the worker agree about what is in transit, and the legs are sums: in any order, in any batches.
func TestTransfersAreSums(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	random := rand.New(rand.NewPCG(5, 5))
	key := planning.TransferKey{Tenant: "shop", Transfer: "t1", Item: "cup"}
	sum := planning.TransferLegs{}
	p.Exec(`INSERT INTO replenishment_state (tenant_id, item_id, location_id) VALUES ('shop', 'cup', 'north'), ('shop', 'cup', 'south')`)
	for range 40 {
		legs := planning.TransferLegs{}
		for range 1 + random.IntN(3) {
			leg := planning.TransferLeg{Sent: event.NewDecimal(random.Int64N(9)), SentAt: time.Unix(random.Int64N(1e9), 0)}
			if random.IntN(2) == 0 {
				leg = planning.TransferLeg{Received: event.NewDecimal(random.Int64N(9)), ReceivedAt: time.Unix(random.Int64N(1e9), 0)}
			}
			location := []string{"north", "south"}[random.IntN(2)]
			legs.Add(location, leg)
			sum.Add(location, leg)
		}
		read := map[planning.TransferKey]planning.TransferLegs{key: {}}
		storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error {
			if err := planning.NoteTransfers(t.Context(), tx, map[planning.TransferKey]planning.TransferLegs{key: legs}); err != nil {
				return err
			}
			return planning.ReadTransfers(t.Context(), tx, read)
		}))
		for _, location := range []string{"north", "south"} {
			inTransit := storetest.One[string](t, p.SQL(), `SELECT (`+planning.InTransitSQL("s")+`)::text FROM replenishment_state s WHERE location_id = $1`, location)
			if want := sum.Rest(location).String(); inTransit != want || read[key].Rest(location).String() != want {
				t.Fatalf("%s of %+v is in transit to %s, want %s", inTransit, read[key], location, want)
			}
		}
	}
}
