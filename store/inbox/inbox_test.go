package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

func TestAnEventIsClaimedOnceByEachConsumer(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	one, two := p.Consumer("one"), p.Consumer("two")
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	first := p.OpenTx()
	if got := p.Claims(first, one, a, b, a); len(got) != 2 || !got[a] || !got[b] {
		t.Errorf("claimed %v", got)
	}
	if got := p.Claims(first, one, a); len(got) != 0 {
		t.Errorf("claimed again %v", got)
	}
	storetest.Must(t, first.Commit())
	handled, err := inbox.Handled(t.Context(), p.DB, one, a)
	storetest.Must(t, err)
	other, err := inbox.Handled(t.Context(), p.DB, two, a)
	storetest.Must(t, err)
	if !handled || other {
		t.Errorf("handled by one: %t, by two: %t", handled, other)
	}
	// It is remembered over generations.
	for range 3 {
		storetest.MustGet(inbox.Rotate(t.Context(), p.DB, 0))(t)
		tx := p.OpenTx()
		if got := p.Claims(tx, one, a, b); len(got) != 0 {
			t.Errorf("claimed again after rotation: %v", got)
		}
		if got := p.Claims(tx, two, a, b); len(got) != 2 {
			t.Errorf("the other consumer claimed %v", got)
		}
		storetest.Must(t, tx.Rollback())
	}
	if handled, err := inbox.Handled(t.Context(), p.DB, one, b); err != nil || !handled {
		t.Errorf("after rotation handled is %t, %v", handled, err)
	}
	tx := p.OpenTx()
	if got := p.Claims(tx, one, a, c); len(got) != 1 || !got[c] {
		t.Errorf("claimed %v, want %s alone", got, c)
	}
	if got := p.Claims(tx, one); len(got) != 0 {
		t.Errorf("of nothing %v was claimed", got)
	}
}

// The second claimant waits for the first, and has the event only when that one rolls back.
func TestASecondClaimantWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	for _, commits := range []bool{true, false} {
		t.Run(fmt.Sprintf("commits %t", commits), func(t *testing.T) {
			t.Parallel()
			p := storetest.NewEnv(t, 6)
			consumer, a := p.Consumer("one"), uuid.New()
			first := p.OpenTx()
			p.Claims(first, consumer, a)
			second := make(chan map[uuid.UUID]bool, 1)
			tx := p.OpenTx()
			go func() {
				claimed, err := inbox.Claim(context.Background(), tx, consumer, []uuid.UUID{a})
				if err != nil {
					t.Error(err)
				}
				second <- claimed
			}()
			p.AwaitLockWaiters(1)
			if commits {
				storetest.Must(t, first.Commit())
			} else {
				storetest.Must(t, first.Rollback())
			}
			if got := <-second; got[a] == commits {
				t.Errorf("the second claimed %v", got)
			}
		})
	}
}

// claim is a way to claim one event, and reports whether it did.
type claim func(ctx context.Context, tx store.Tx, consumer inbox.ConsumerID, ids []uuid.UUID) (map[uuid.UUID]bool, error)

func properly(ctx context.Context, tx store.Tx, consumer inbox.ConsumerID, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	return inbox.Claim(ctx, tx, consumer, ids)
}

// race lets many claim the same events while the inbox rotates over and over, and returns how often each event was
// claimed by a transaction that committed.
func race(p *storetest.Env, t *testing.T, claim claim) (claimed map[uuid.UUID]int, rotations int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const claimants, rounds, batch = 6, 25, 12
	consumer := p.Consumer("one")
	ids := make([]uuid.UUID, rounds*batch)
	for i := range ids {
		ids[i] = uuid.New()
	}
	claimed = map[uuid.UUID]int{}
	var mu sync.Mutex
	var running atomic.Int32
	running.Store(claimants)
	var run []func(context.Context) error
	for i := range claimants {
		run = append(run, func(ctx context.Context) error {
			defer running.Add(-1)
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for round := 0; round < rounds; {
				some := make([]uuid.UUID, 0, batch)
				for _, k := range rnd.Perm(batch) { // all go over the same events at about the same time
					some = append(some, ids[round*batch+k])
				}
				tx, err := p.Begin(ctx)
				if err != nil {
					return err
				}
				got, err := claim(ctx, tx, consumer, some)
				if errors.Is(err, inbox.ErrNewGeneration) {
					tx.Rollback()
					continue
				}
				if err != nil {
					tx.Rollback()
					return err // a deadlock would be ErrRetryable
				}
				if rnd.IntN(3) == 0 {
					tx.Rollback()
					continue
				}
				if err := tx.Commit(); err != nil {
					return err
				}
				mu.Lock()
				for id := range got {
					claimed[id]++
				}
				mu.Unlock()
				round++
			}
			return nil
		})
	}
	for range 2 { // two rotate, and do not fail each other
		run = append(run, func(ctx context.Context) error {
			for running.Load() > 0 {
				opened, err := inbox.Rotate(ctx, p.DB, 0)
				if err != nil && !errors.Is(err, store.ErrRetryable) {
					return err
				}
				if opened {
					mu.Lock()
					rotations++
					mu.Unlock()
				}
			}
			return nil
		})
	}
	storetest.Concurrently(t, run...)
	if len(claimed) != len(ids) {
		t.Errorf("%d of %d events were claimed", len(claimed), len(ids))
	}
	return claimed, rotations
}

func TestClaimsWhileTheInboxRotates(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]claim{"each asked for": properly, "all expected to be new": newFirst} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := storetest.NewEnv(t, 12)
			claimed, rotations := race(p, t, claim)
			for id, n := range claimed {
				if n != 1 {
					t.Errorf("event %s was claimed by %d transactions", id, n)
				}
			}
			if n := storetest.One[int](t, p.SQL(), `SELECT max(generation) FROM inbox_generation`); n != rotations+1 || rotations < 3 {
				t.Errorf("%d generations after %d rotations", n, rotations)
			}
			t.Logf("%d rotations", rotations)
		})
	}
}

// newFirst claims events as if all were new, and where one is not asks for each, as the harness does.
func newFirst(ctx context.Context, tx store.Tx, consumer inbox.ConsumerID, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	do := func(statement string) error { _, err := pg.RawTx(tx).ExecContext(ctx, statement); return err }
	if err := do(`SAVEPOINT before`); err != nil {
		return nil, err
	}
	err := inbox.ClaimNew(ctx, tx, consumer, ids)
	if errors.Is(err, inbox.ErrClaimed) {
		if err := do(`ROLLBACK TO before`); err != nil {
			return nil, err
		}
		return inbox.Claim(ctx, tx, consumer, ids)
	}
	claimed := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		claimed[id] = true
	}
	return claimed, err
}

// Where the newest generation has no partition that the session knows, the claim is to be made again, and is no fault
// of its events.
func TestAGenerationWithoutAKnownPartition(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	consumer := p.Consumer("one")
	p.Exec(`INSERT INTO inbox_generation (generation) VALUES (2)`)
	for name, claim := range map[string]claim{"each asked for": properly, "all expected to be new": newFirst} {
		err := p.InTx(t.Context(), func(tx store.Tx) error {
			_, err := claim(t.Context(), tx, consumer, []uuid.UUID{uuid.New()})
			return err
		})
		if !errors.Is(err, inbox.ErrNewGeneration) || !errors.Is(err, store.ErrRetryable) {
			t.Errorf("%s: want a claim that is made again, got %v", name, err)
		}
	}
}

// One event that was claimed before, in the newest generation or an older one, refuses all of them.
func TestClaimNewRefusesWhatWasClaimed(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	consumer, other, a, b := p.Consumer("one"), p.Consumer("other"), uuid.New(), uuid.New()
	claimNew := func(consumer inbox.ConsumerID, ids ...uuid.UUID) error {
		return p.InTx(t.Context(), func(tx store.Tx) error { return inbox.ClaimNew(t.Context(), tx, consumer, ids) })
	}
	storetest.Must(t, claimNew(consumer, a))
	for _, where := range []string{"newest", "older"} {
		storetest.IsError(t, claimNew(consumer, b, a), inbox.ErrClaimed)
		storetest.Must(t, claimNew(other, uuid.New(), uuid.New()))
		if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM inbox WHERE event_id = ANY ($1::uuid[])`, pq.StringArray{a.String(), b.String()}); n != 1 {
			t.Errorf("%s generation: the inbox has %d of two events, want the claimed one", where, n)
		}
		storetest.MustGet(inbox.Rotate(t.Context(), p.DB, 0))(t)
	}
	storetest.Must(t, claimNew(other, a, b))
}

// The variants below remove the guard, and claim one event twice in a fixed interleaving.

// claimWithoutLock is Claim without the rotation lock.
func claimWithoutLock(ctx context.Context, tx store.Tx, consumer inbox.ConsumerID, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	return claimBy(ctx, tx, inbox.ClaimEvents, consumer, ids)
}

// claimInOneStatement takes the lock in the statement that claims, whose
// snapshot is then older than the lock.
func claimInOneStatement(ctx context.Context, tx store.Tx, consumer inbox.ConsumerID, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	const newest = `(SELECT max(generation) FROM inbox_generation, locked)`
	query := fmt.Sprintf(`WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(%d))`, inbox.RotationLock) +
		strings.ReplaceAll(inbox.ClaimEvents, `(SELECT max(generation) FROM inbox_generation)`, newest)
	return claimBy(ctx, tx, query, consumer, ids)
}

func claimBy(ctx context.Context, tx store.Tx, query string, consumer inbox.ConsumerID, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	texts := make(pq.StringArray, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	rows, err := pg.RawTx(tx).QueryContext(ctx, query, consumer, texts)
	if err != nil {
		return nil, pg.MapError(err)
	}
	defer rows.Close()
	claimed := map[uuid.UUID]bool{}
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		claimed[id] = true
	}
	return claimed, pg.MapError(rows.Err())
}

// One claims in a generation and stays open; the inbox rotates; another claims
// in the next. Without the lock the rotation does not wait.
func TestWithoutTheRotationLockAnEventIsClaimedTwice(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	consumer, a := p.Consumer("one"), uuid.New()
	one := p.OpenTx()
	first, err := claimWithoutLock(t.Context(), one, consumer, []uuid.UUID{a})
	storetest.Must(t, err)
	if opened, err := inbox.Rotate(t.Context(), p.DB, 0); err != nil || !opened {
		t.Fatalf("rotated: %t, %v", opened, err)
	}
	two := p.OpenTx()
	second, err := claimWithoutLock(t.Context(), two, consumer, []uuid.UUID{a})
	storetest.Must(t, err)
	storetest.Must(t, one.Commit())
	storetest.Must(t, two.Commit())
	if !first[a] || !second[a] {
		t.Error("it was claimed once: the interleaving proves nothing")
	}
}

// A claim waits for an open rotation. When it took the lock in the claiming statement, its snapshot is from before the
// rotation: it claims in the old generation, uncommitted, while another claims in the new one and does not see it.
func TestALockTakenWithTheClaimIsTakenTooLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		claim  claim
		second bool // has it too
	}{{"in one statement", claimInOneStatement, true}, {"in a statement of its own", properly, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := storetest.NewEnv(t, 8)
			consumer, a := p.Consumer("one"), uuid.New()
			rotating := p.OpenTx()
			storetest.MustGet(pg.RawTx(rotating).Exec(`SELECT pg_advisory_xact_lock($1)`, inbox.RotationLock))(t)
			late, after := p.OpenTx(), p.OpenTx()
			first := claimsLater(p, late, c.claim, consumer, a)
			p.AwaitLockWaiters(1)
			storetest.MustGet(pg.RawTx(rotating).Exec(`
				CREATE TABLE inbox_2 (LIKE inbox INCLUDING ALL); ALTER TABLE inbox ATTACH PARTITION inbox_2 FOR VALUES IN (2);
				INSERT INTO inbox_generation (generation) VALUES (2)`))(t)
			storetest.Must(t, rotating.Commit())
			if !(<-first)[a] {
				t.Fatal("the late one did not claim the event")
			}
			claimed := claimsLater(p, after, properly, consumer, a)
			if !c.second {
				p.AwaitLockWaiters(1) // for the late one to end
				storetest.Must(t, late.Commit())
			}
			if got := <-claimed; got[a] != c.second {
				t.Errorf("the second claimed %v, want it to: %t", got, c.second)
			}
			storetest.Must(t, after.Commit())
			if c.second {
				storetest.Must(t, late.Commit()) // and nothing prevents it: the event is handled twice
			}
		})
	}
}

// The key of the lock stands in the program and in the function claim_new.
func TestBothWaysToClaimTakeTheRotationLock(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]claim{"each asked for": properly, "all expected to be new": newFirst} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := storetest.NewEnv(t, 4)
			consumer, a := p.Consumer("one"), uuid.New()
			rotating, tx := p.OpenTx(), p.OpenTx()
			storetest.MustGet(pg.RawTx(rotating).Exec(`SELECT pg_advisory_xact_lock($1)`, inbox.RotationLock))(t)
			claimed := claimsLater(p, tx, claim, consumer, a)
			p.AwaitLockWaiters(1)
			storetest.Must(t, rotating.Commit())
			if !(<-claimed)[a] {
				t.Error("the event is not claimed after the rotation")
			}
		})
	}
}

// claimsLater claims in a goroutine.
func claimsLater(p *storetest.Env, tx store.Tx, claim claim, consumer inbox.ConsumerID, ids ...uuid.UUID) <-chan map[uuid.UUID]bool {
	result := make(chan map[uuid.UUID]bool, 1)
	go func() {
		claimed, err := claim(context.Background(), tx, consumer, ids)
		if err != nil {
			p.Error(err)
		}
		result <- claimed
	}()
	return result
}

// Rotation waits for an open claim only briefly, and can be tried again; claims are delayed no longer than that.
func TestARotationWaitsOnlyBriefly(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 8)
	consumer := p.Consumer("one")
	slow := p.OpenTx()
	p.Claims(slow, consumer, uuid.New())
	began := time.Now()
	opened, err := inbox.Rotate(t.Context(), p.DB, 0)
	storetest.IsError(t, err, store.ErrRetryable)
	if took := time.Since(began); opened || took > 8*time.Second { // lock_timeout alone would be 10 s
		t.Errorf("rotated: %t, after %v", opened, took)
	}
	p.Claims(p.OpenTx(), consumer, uuid.New())
	if n := storetest.One[int](t, p.SQL(), `SELECT max(generation) FROM inbox_generation`); n != 1 {
		t.Errorf("the newest generation is %d", n)
	}
	if opened, err := inbox.Rotate(t.Context(), p.DB, time.Hour); err != nil || opened {
		t.Errorf("a young generation was followed by another: %t, %v", opened, err)
	}
	storetest.Must(t, slow.Commit())
}
