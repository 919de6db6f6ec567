package ledger_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
)

func lock(p *storetest.Env, tx store.Tx, keys ...masterdata.PositionKey) map[masterdata.PositionKey]*ledger.Position {
	p.Helper()
	positions, err := ledger.LockPositions(context.Background(), tx, keys, nil)
	storetest.Must(p, err)
	return positions
}

// setThreshold sets the low-stock threshold of a position.
func setThreshold(p *storetest.Env, k masterdata.PositionKey, threshold string) {
	p.Helper()
	rule := masterdata.Rule{Tenant: k.Tenant, Item: k.Item, Location: k.Location, LowStockThreshold: storetest.DecimalPtr(p, threshold)}
	storetest.MustGet(masterdata.SetRules(context.Background(), p.DB, []masterdata.Rule{rule}, storetest.Morning))(p)
}

func TestPositionsAreMadeOnFirstSight(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	a, c := storetest.PositionKey("Ähre", "S1"), storetest.PositionKey("Ähre", ledger.Customer)
	tx := p.OpenTx()
	positions, err := ledger.LockPositions(t.Context(), tx, []masterdata.PositionKey{c, a, c}, map[masterdata.ItemKey]string{{Tenant: "shop", Item: "Ähre"}: "an ear"})
	storetest.Must(t, err)
	if len(positions) != 2 || positions[a] == nil || positions[c] == nil {
		t.Fatalf("positions are %v", positions)
	}
	if got := positions[a]; got.ID == 0 || !got.OnHand.IsZero() || !got.Reserved.IsZero() || got.Sequence != 0 || !got.Armed || got.Threshold != nil || got.PositionKey != a {
		t.Errorf("a new position is %+v", got)
	}
	storetest.Must(t, tx.Commit())
	got := storetest.One[string](t, p.SQL(), `SELECT string_agg(location_id || '=' || kind, ' ' ORDER BY location_id) FROM location`)
	if got != "@customer=customer S1=stock" {
		t.Errorf("locations are %s", got)
	}
	if name := storetest.One[string](t, p.SQL(), `SELECT name || ' ' || incomplete FROM item`); name != "an ear true" {
		t.Errorf("the item is %s", name)
	}
	setThreshold(p, a, "2.5")
	setThreshold(p, storetest.PositionKey("later", "S1"), "1")
	setThreshold(p, a, "3")
	positions = lock(p, p.OpenTx(), a, storetest.PositionKey("later", "S1"))
	if got := positions[a].Threshold; got == nil || got.String() != "3" {
		t.Errorf("the threshold is %v", got)
	}
	if got := positions[storetest.PositionKey("later", "S1")].Threshold; got == nil || got.String() != "1" {
		t.Errorf("the threshold set before the position was seen is %v", got)
	}
	if positions := lock(p, p.OpenTx()); len(positions) != 0 {
		t.Errorf("of nothing %v was locked", positions)
	}
	// A virtual location that the ledger does not know is refused.
	if _, err := ledger.LockPositions(t.Context(), p.OpenTx(), []masterdata.PositionKey{storetest.PositionKey("x", "@nowhere")}, nil); err == nil {
		t.Error("a position was made at a place that does not exist")
	}
}

// A process remembers the ids of rows. After a restore they may be other positions', or none's.
func TestPositionsWhoseIDsHaveChanged(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	a, b, c := storetest.PositionKey("a", "S"), storetest.PositionKey("b", "S"), storetest.PositionKey("c", "S")
	tx := p.OpenTx()
	lock(p, tx, a, b, c)
	storetest.Must(t, tx.Commit())
	ids := func() map[masterdata.PositionKey]int64 {
		tx := p.OpenTx()
		defer tx.Rollback()
		found := map[masterdata.PositionKey]int64{}
		for k, position := range lock(p, tx, a, b, c) {
			if position.PositionKey != k {
				t.Errorf("%v was found for %v", position.PositionKey, k)
			}
			found[k] = position.ID
		}
		return found
	}
	before := ids()
	storetest.Exec(t, p.URL, `DELETE FROM position WHERE item_id = 'c'`)
	for _, moved := range [][2]string{{"a", "c"}, {"b", "a"}, {"c", "b"}} {
		storetest.Exec(t, p.URL, fmt.Sprintf(`UPDATE position SET item_id = '%s' WHERE item_id = '%s'`, moved[1], moved[0]))
	}
	for range 2 {
		after := ids()
		if after[a] != before[b] || after[b] != before[a] || after[c] == 0 || after[c] == before[c] {
			t.Errorf("the ids are %v, before they were %v", after, before)
		}
	}
}

// move posts n of the item from one location to another as one event, as the ledger does.
func move(ctx context.Context, tx store.Tx, id uuid.UUID, item, from, to string, n event.Decimal) error {
	keys := []masterdata.PositionKey{storetest.PositionKey(item, from), storetest.PositionKey(item, to)}
	positions, err := ledger.LockPositions(ctx, tx, keys, nil)
	if err != nil {
		return err
	}
	moved, err := ledger.Moved(ctx, tx, []uuid.UUID{id})
	if err != nil || moved[id] {
		return err
	}
	var movements []ledger.Movement
	var changed []*ledger.Position
	for line, k := range keys {
		at, quantity := positions[k], n
		if line == 0 {
			quantity = n.Neg()
		}
		at.OnHand, at.Sequence = at.OnHand.Add(quantity), at.Sequence+1
		movements = append(movements, ledger.Movement{
			EventID: id, Line: line, Position: at.ID, Sequence: at.Sequence, Quantity: quantity, OnHand: at.OnHand, Type: "SALE", OccurredAt: time.Unix(0, 0),
		})
		changed = append(changed, at)
	}
	return ledger.Post(ctx, tx, movements, changed)
}

// checkSums compares positions with their movements.
func checkSums(p *storetest.Env) {
	p.Helper()
	const wrong = `
		SELECT count(*) FROM position p LEFT JOIN (
			SELECT position_id, sum(quantity) AS total, count(*) AS n, max(sequence) AS last FROM movement GROUP BY position_id
		) m ON m.position_id = p.id
		WHERE p.on_hand <> coalesce(total, 0) OR p.sequence <> coalesce(n, 0) OR p.sequence <> coalesce(last, 0)`
	if n := storetest.One[int](p, p.SQL(), wrong); n != 0 {
		p.Errorf("%d positions are not the sum of their movements", n)
	}
	if n := storetest.One[int](p, p.SQL(), `SELECT count(*) FROM (SELECT FROM position GROUP BY tenant_id, item_id HAVING sum(on_hand) <> 0) x`); n != 0 {
		p.Errorf("%d items do not sum to zero", n)
	}
	if n := storetest.One[int](p, p.SQL(), `SELECT count(*) FROM (SELECT FROM movement GROUP BY event_id HAVING sum(quantity) <> 0) x`); n != 0 {
		p.Errorf("%d events do not sum to zero", n)
	}
}

// Many transactions sell the same few new items at once, some of it twice: each item is made once, each event moves
// once, and the sums are right.
func TestTheLedgerUnderConcurrency(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 10)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const clients, batches = 6, 12
	ids := make([]uuid.UUID, 60)
	for i := range ids {
		ids[i] = uuid.New()
	}
	var run []func(context.Context) error
	for i := range clients {
		run = append(run, func(ctx context.Context) error {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for range batches {
				err := p.InTx(ctx, func(tx store.Tx) error {
					n := rnd.IntN(len(ids))
					item, shop := fmt.Sprintf("i%d", n%6), fmt.Sprintf("S%d", n%5) // the same for an event, in any transaction
					keys := []masterdata.PositionKey{storetest.PositionKey(item, shop), storetest.PositionKey(item, ledger.Customer)}
					for range 8 {
						keys = append(keys, storetest.PositionKey(fmt.Sprintf("i%d", rnd.IntN(6)), fmt.Sprintf("S%d", rnd.IntN(5))))
					}
					if _, err := ledger.LockPositions(ctx, tx, keys, nil); err != nil {
						return err
					}
					return move(ctx, tx, ids[n], item, shop, ledger.Customer, event.NewDecimal(int64(n)))
				})
				if err != nil {
					return err // a deadlock would be ErrRetryable
				}
			}
			return nil
		})
	}
	storetest.Concurrently(t, run...)
	checkSums(p)
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM movement`); n < 2*len(ids)/2 || n > 2*len(ids) {
		t.Errorf("%d movements of %d events", n, len(ids))
	}
}

// A batch locks its positions in key order, in whatever order they are given: two with the same ones in opposite
// orders wait for each other, once.
func TestPositionsAreLockedInKeyOrder(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	// In the collation C, and so in Go, all capitals come before all small letters.
	keys := []masterdata.PositionKey{storetest.PositionKey("B", "S"), storetest.PositionKey("a", "S"), storetest.PositionKey("b", "S"), storetest.PositionKey("Ä", "S")}
	setUp := p.OpenTx()
	lock(p, setUp, keys...)
	storetest.Must(t, setUp.Commit())
	holder := p.OpenTx()
	lock(p, holder, keys[2]) // b
	reversed := slices.Clone(keys)
	slices.Reverse(reversed)
	waiting := p.OpenTx()
	done := make(chan error, 1)
	go func() { _, err := ledger.LockPositions(context.Background(), waiting, reversed, nil); done <- err }()
	p.AwaitLockWaiters(1)
	// The positions before b in key order are locked by now, and those after it are free.
	for i, want := range []bool{false, false, false, true} {
		free := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM (SELECT FROM position WHERE item_id = $1 FOR UPDATE SKIP LOCKED) x`, keys[i].Item) == 1
		if free != want {
			t.Errorf("%s is free: %t, want %t", keys[i].Item, free, want)
		}
	}
	storetest.Must(t, holder.Commit())
	storetest.Must(t, <-done)
}

// What is read under the lock is the newest, also after a wait.
func TestALockedPositionIsTheNewest(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ctx := t.Context()
	storetest.Must(t, p.InTx(ctx, func(tx store.Tx) error {
		return move(ctx, tx, uuid.New(), "i", ledger.Supplier, "S", event.NewDecimal(10))
	}))
	first, second := p.OpenTx(), p.OpenTx()
	storetest.Must(t, move(ctx, first, uuid.New(), "i", "S", ledger.Customer, event.NewDecimal(3)))
	done := make(chan error, 1)
	go func() {
		done <- move(context.Background(), second, uuid.New(), "i", "S", ledger.Customer, event.NewDecimal(4))
	}()
	p.AwaitLockWaiters(1)
	storetest.Must(t, first.Commit())
	storetest.Must(t, <-done)
	storetest.Must(t, second.Commit())
	checkSums(p)
	if got := storetest.One[string](t, p.SQL(), `SELECT on_hand || ' ' || sequence FROM position WHERE location_id = 'S'`); got != "3 3" {
		t.Errorf("on hand and sequence are %s, want 3 3", got)
	}
}

func TestAnEventMovesOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ctx, id := t.Context(), uuid.New()
	for range 3 {
		storetest.Must(t, p.InTx(ctx, func(tx store.Tx) error { return move(ctx, tx, id, "i", "S", ledger.Customer, event.NewDecimal(1)) }))
	}
	checkSums(p)
	tx := p.OpenTx()
	moved, err := ledger.Moved(ctx, tx, []uuid.UUID{id, uuid.New()})
	storetest.Must(t, err)
	if len(moved) != 1 || !moved[id] {
		t.Errorf("moved are %v", moved)
	}
	for _, known := range []string{"i", "new"} {
		positions, moved, err := ledger.LockUnmoved(ctx, tx, []uuid.UUID{uuid.New(), id}, []masterdata.PositionKey{storetest.PositionKey("i", "S"), storetest.PositionKey(known, "S")}, nil)
		storetest.Must(t, err)
		if len(moved) != 1 || !moved[id] || positions[storetest.PositionKey("i", "S")].Sequence != 1 || positions[storetest.PositionKey(known, "S")] == nil {
			t.Errorf("moved are %v, with %v locked", moved, positions)
		}
	}
	if _, moved, err := ledger.LockUnmoved(ctx, tx, []uuid.UUID{uuid.New()}, []masterdata.PositionKey{storetest.PositionKey("i", "S")}, nil); err != nil || len(moved) != 0 {
		t.Errorf("of an event that has not moved: %v, %v", moved, err)
	}
	// Nor without asking first: the key of the movement is the event's.
	at := lock(p, tx, storetest.PositionKey("i", "S"))[storetest.PositionKey("i", "S")]
	if err := ledger.Post(ctx, tx, []ledger.Movement{{EventID: id, Position: at.ID, Sequence: 2}}, []*ledger.Position{at}); err == nil {
		t.Error("a movement was posted twice")
	}
	// Positions that do not exist, or are given twice, are an error.
	for _, positions := range [][]*ledger.Position{{at, at}, {{ID: -1}}} {
		if err := ledger.Post(ctx, p.OpenTx(), nil, positions); err == nil {
			t.Errorf("posted %v", positions)
		}
	}
}

func TestQuantitiesAreExact(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ctx := t.Context()
	quantities := []string{"0.1", "0.2", "999999999999999.999999", "-999999999999999.999999", "0.000001", "-0.000001", "1e3", "0"}
	for _, q := range quantities {
		storetest.Must(t, p.InTx(ctx, func(tx store.Tx) error {
			return move(ctx, tx, uuid.New(), "i", "S", ledger.Customer, storetest.Decimal(t, q))
		}))
		checkSums(p)
	}
	at := lock(p, p.OpenTx(), storetest.PositionKey("i", "S"))[storetest.PositionKey("i", "S")]
	if want := storetest.Decimal(t, "-1000.3"); !at.OnHand.Equal(want) {
		t.Errorf("on hand is %s, want %s", at.OnHand, want)
	}
	if got := storetest.One[string](t, p.SQL(), `SELECT max(on_hand)::text FROM movement`); got != "1000000000000000.299999" {
		t.Errorf("the largest is %s", got)
	}
}
