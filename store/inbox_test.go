package store_test

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

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

func (p *place) consumer(name string) store.ConsumerID {
	p.Helper()
	id, err := p.Subscribe(context.Background(), name, []string{"SALE_COMPLETED"})
	must(p, err)
	return id
}

func (p *place) claims(tx *store.Tx, consumer store.ConsumerID, ids ...eventID) map[eventID]bool {
	p.Helper()
	claimed, err := tx.Claim(context.Background(), consumer, ids)
	must(p, err)
	return claimed
}

func TestAnEventIsClaimedOnceByEachConsumer(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	one, two := p.consumer("one"), p.consumer("two")
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	first := p.begin()
	if got := p.claims(first, one, a, b, a); len(got) != 2 || !got[a] || !got[b] {
		t.Errorf("claimed %v", got)
	}
	if got := p.claims(first, one, a); len(got) != 0 {
		t.Errorf("claimed again %v", got)
	}
	must(t, first.Commit())
	handled, err := p.Handled(t.Context(), one, a)
	must(t, err)
	other, err := p.Handled(t.Context(), two, a)
	must(t, err)
	if !handled || other {
		t.Errorf("handled by one: %t, by two: %t", handled, other)
	}
	// It is remembered over generations.
	for range 3 {
		must2(p.RotateInbox(t.Context(), 0))(t)
		tx := p.begin()
		if got := p.claims(tx, one, a, b); len(got) != 0 {
			t.Errorf("claimed again after rotation: %v", got)
		}
		if got := p.claims(tx, two, a, b); len(got) != 2 {
			t.Errorf("the other consumer claimed %v", got)
		}
		must(t, tx.Rollback())
	}
	if handled, err := p.Handled(t.Context(), one, b); err != nil || !handled {
		t.Errorf("after rotation handled is %t, %v", handled, err)
	}
	tx := p.begin()
	if got := p.claims(tx, one, a, c); len(got) != 1 || !got[c] {
		t.Errorf("claimed %v, want %s alone", got, c)
	}
	if got := p.claims(tx, one); len(got) != 0 {
		t.Errorf("of nothing %v was claimed", got)
	}
}

// The second claimant waits for the first, and has the event only when that one rolls back.
func TestASecondClaimantWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	for _, commits := range []bool{true, false} {
		t.Run(fmt.Sprintf("commits %t", commits), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, 6)
			consumer, a := p.consumer("one"), uuid.New()
			first := p.begin()
			p.claims(first, consumer, a)
			second := make(chan map[eventID]bool, 1)
			tx := p.begin()
			go func() {
				claimed, err := tx.Claim(context.Background(), consumer, []eventID{a})
				if err != nil {
					t.Error(err)
				}
				second <- claimed
			}()
			p.waitsForLock(1)
			if commits {
				must(t, first.Commit())
			} else {
				must(t, first.Rollback())
			}
			if got := <-second; got[a] == commits {
				t.Errorf("the second claimed %v", got)
			}
		})
	}
}

// claim is a way to claim one event, and tells whether it did.
type claim func(ctx context.Context, tx *store.Tx, consumer store.ConsumerID, ids []eventID) (map[eventID]bool, error)

func properly(ctx context.Context, tx *store.Tx, consumer store.ConsumerID, ids []eventID) (map[eventID]bool, error) {
	return tx.Claim(ctx, consumer, ids)
}

// race lets many claim the same events while the inbox rotates over and over,
// and gives how often each event was claimed by a transaction that committed.
func (p *place) race(t *testing.T, claim claim) (claimed map[eventID]int, rotations int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const claimants, rounds, batch = 6, 25, 12
	consumer := p.consumer("one")
	ids := make([]eventID, rounds*batch)
	for i := range ids {
		ids[i] = uuid.New()
	}
	claimed = map[eventID]int{}
	var mu sync.Mutex
	var running atomic.Int32
	running.Store(claimants)
	var run []func(context.Context) error
	for i := range claimants {
		run = append(run, func(ctx context.Context) error {
			defer running.Add(-1)
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for round := 0; round < rounds; {
				some := make([]eventID, 0, batch)
				for _, k := range rnd.Perm(batch) { // all go over the same events at about the same time
					some = append(some, ids[round*batch+k])
				}
				tx, err := p.Begin(ctx)
				if err != nil {
					return err
				}
				got, err := claim(ctx, tx, consumer, some)
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
				opened, err := p.RotateInbox(ctx, 0)
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
	p := newPlace(t, 12)
	claimed, rotations := p.race(t, properly)
	for id, n := range claimed {
		if n != 1 {
			t.Errorf("event %s was claimed by %d transactions", id, n)
		}
	}
	if n := value[int](t, p.SQL(), `SELECT max(generation) FROM inbox_generation`); n != rotations+1 || rotations < 3 {
		t.Errorf("%d generations after %d rotations", n, rotations)
	}
	t.Logf("%d rotations", rotations)
}

// The variants below take the guard away, and claim one event twice in a fixed interleaving.

// claimWithoutLock is Claim without the rotation lock.
func claimWithoutLock(ctx context.Context, tx *store.Tx, consumer store.ConsumerID, ids []eventID) (map[eventID]bool, error) {
	return claimBy(ctx, tx, store.ClaimEvents, consumer, ids)
}

// claimInOneStatement takes the lock in the statement that claims, whose
// snapshot is then older than the lock.
func claimInOneStatement(ctx context.Context, tx *store.Tx, consumer store.ConsumerID, ids []eventID) (map[eventID]bool, error) {
	const newest = `(SELECT max(generation) FROM inbox_generation, locked)`
	query := fmt.Sprintf(`WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(%d))`, store.RotationLock) +
		strings.ReplaceAll(store.ClaimEvents, `(SELECT max(generation) FROM inbox_generation)`, newest)
	return claimBy(ctx, tx, query, consumer, ids)
}

func claimBy(ctx context.Context, tx *store.Tx, query string, consumer store.ConsumerID, ids []eventID) (map[eventID]bool, error) {
	texts := make(pq.StringArray, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	rows, err := tx.SQL().QueryContext(ctx, query, consumer, texts)
	if err != nil {
		return nil, store.MapError(err)
	}
	defer rows.Close()
	claimed := map[eventID]bool{}
	for rows.Next() {
		var id eventID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		claimed[id] = true
	}
	return claimed, store.MapError(rows.Err())
}

// One claims in a generation and stays open; the inbox rotates; another claims
// in the next. Without the lock the rotation does not wait.
func TestWithoutTheRotationLockAnEventIsClaimedTwice(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	consumer, a := p.consumer("one"), uuid.New()
	one := p.begin()
	first, err := claimWithoutLock(t.Context(), one, consumer, []eventID{a})
	must(t, err)
	if opened, err := p.RotateInbox(t.Context(), 0); err != nil || !opened {
		t.Fatalf("rotated: %t, %v", opened, err)
	}
	two := p.begin()
	second, err := claimWithoutLock(t.Context(), two, consumer, []eventID{a})
	must(t, err)
	must(t, one.Commit())
	must(t, two.Commit())
	if !first[a] || !second[a] {
		t.Error("it was claimed once: the interleaving proves nothing")
	}
}

// A claimant waits for a rotation in hand. When it took the lock in the
// statement that claims, that statement's snapshot is from before the rotation:
// it claims in the old generation, uncommitted, while another claims in the new
// one and sees nothing of it.
func TestALockTakenWithTheClaimIsTakenTooLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		claim  claim
		second bool // has it too
	}{{"in one statement", claimInOneStatement, true}, {"in a statement of its own", properly, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, 8)
			consumer, a := p.consumer("one"), uuid.New()
			rotating := p.begin()
			must2(rotating.SQL().Exec(`SELECT pg_advisory_xact_lock($1)`, store.RotationLock))(t)
			late, after := p.begin(), p.begin()
			first := p.claimsLater(late, c.claim, consumer, a)
			p.waitsForLock(1)
			must2(rotating.SQL().Exec(`
				CREATE TABLE inbox_2 (LIKE inbox INCLUDING ALL); ALTER TABLE inbox ATTACH PARTITION inbox_2 FOR VALUES IN (2);
				INSERT INTO inbox_generation (generation) VALUES (2)`))(t)
			must(t, rotating.Commit())
			if !(<-first)[a] {
				t.Fatal("the late one did not claim the event")
			}
			claimed := p.claimsLater(after, properly, consumer, a)
			if !c.second {
				p.waitsForLock(1) // for the late one to end
				must(t, late.Commit())
			}
			if got := <-claimed; got[a] != c.second {
				t.Errorf("the second claimed %v, want it to: %t", got, c.second)
			}
			must(t, after.Commit())
			if c.second {
				must(t, late.Commit()) // and nothing hinders it: the event is handled twice
			}
		})
	}
}

// claimsLater claims beside the test.
func (p *place) claimsLater(tx *store.Tx, claim claim, consumer store.ConsumerID, ids ...eventID) <-chan map[eventID]bool {
	result := make(chan map[eventID]bool, 1)
	go func() {
		claimed, err := claim(context.Background(), tx, consumer, ids)
		if err != nil {
			p.Error(err)
		}
		result <- claimed
	}()
	return result
}

// Rotation waits for a claim in hand, but not for long, and can be tried again;
// claims are held up no longer than that.
func TestRotationIsNotPatient(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 8)
	p.DB = storetest.Open(t, withParameter(p.url, "lock_timeout", "600000"), 8) // it would wait for ten minutes
	consumer := p.consumer("one")
	slow := p.begin()
	p.claims(slow, consumer, uuid.New())
	began := time.Now()
	opened, err := p.RotateInbox(t.Context(), 0)
	isError(t, err, store.ErrRetryable)
	if took := time.Since(began); opened || took > localtest.Deadline(8*time.Second) {
		t.Errorf("rotated: %t, after %v", opened, took)
	}
	p.claims(p.begin(), consumer, uuid.New())
	if n := value[int](t, p.SQL(), `SELECT max(generation) FROM inbox_generation`); n != 1 {
		t.Errorf("the newest generation is %d", n)
	}
	if opened, err := p.RotateInbox(t.Context(), time.Hour); err != nil || opened {
		t.Errorf("a young generation was followed by another: %t, %v", opened, err)
	}
	must(t, slow.Commit())
}
