package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"pgregory.net/rapid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

// claimTx is a transaction that claims, or waits to.
type claimTx struct {
	tx     *store.Transaction
	pid    int
	wants  []uuid.UUID
	result chan claimed
	got    *claimed // nil: it still waits
}

type claimed struct {
	ids        map[uuid.UUID]bool
	generation int
	err        error
}

// rotation is a rotation or a drop that waits for open claims.
type rotation struct{ result chan rotationResult }

type rotationResult struct {
	dropped int
	err     error
}

// claimModel is an inbox that several transactions claim from while it rotates and drops. Steps are drawn and started
// one after the other; one that waits for another goes on when that ends. So any order of claims, ends, rotations and
// drops may come up, and rapid reproduces it.
type claimModel struct {
	*rapid.T
	place    *storetest.Env
	consumer inbox.ConsumerID
	events   []uuid.UUID
	open     [4]*claimTx
	rotation *rotation
	dropped  []int // generations
	// committed are the generations in which each event was claimed for good, and refused those of refused claims.
	committed map[uuid.UUID][]int
	refused   map[uuid.UUID]bool
}

// Any interleaving of real claims, rotations and drops: an event is claimed once, and again only after the inbox has
// dropped it; and a refused claim always had a winner.
func TestAnyInterleavingIsClaimedOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 10)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs%5 > 1 {
			return // each makes and drops tables: two of five do
		}
		o := &claimModel{T: rt, place: p, consumer: p.Consumer(fmt.Sprintf("run %d", runs)), committed: map[uuid.UUID][]int{}, refused: map[uuid.UUID]bool{}}
		for range 5 {
			o.events = append(o.events, uuid.New())
		}
		defer o.end()
		rt.Repeat(map[string]func(*rapid.T){"claim": o.claim, "commit": o.commit, "roll back": o.rollBack, "rotate": o.rotate, "drop": o.drop})
		for i := range o.open {
			o.finish(i, true)
		}
		o.await()
		o.check()
	})
}

func (o *claimModel) must(err error) {
	if err != nil {
		o.Fatal(err)
	}
}

// claim begins a transaction that claims some of the events, in any order.
func (o *claimModel) claim(t *rapid.T) {
	i := slices.Index(o.open[:], nil)
	if i < 0 {
		t.Skip("all are at work")
	}
	tx, err := o.place.Begin(context.Background())
	o.must(err)
	c := &claimTx{tx: tx, result: make(chan claimed, 1)}
	o.open[i] = c
	o.must(pg.RawTx(tx).QueryRow(`SELECT pg_backend_pid()`).Scan(&c.pid))
	c.wants = rapid.Permutation(o.events).Draw(t, "order")[:rapid.IntRange(1, len(o.events)).Draw(t, "how many")]
	go func() {
		ids, err := inbox.Claim(context.Background(), tx, o.consumer, c.wants)
		got := claimed{ids: ids, err: err}
		if err == nil && len(ids) > 0 {
			got.err = pg.RawTx(tx).QueryRow(`SELECT max(generation) FROM inbox WHERE consumer = $1 AND event_id = ANY ($2)`, o.consumer, pq.StringArray(textsOf(ids))).Scan(&got.generation)
		}
		c.result <- got
	}()
	o.await()
}

// await waits until every started step is done or waits for another.
func (o *claimModel) await() {
	for deadline := time.Now().Add(localtest.Deadline(storetest.Timeout)); ; {
		busy := false
		for _, c := range o.open {
			if c == nil || c.got != nil {
				continue
			}
			select {
			case got := <-c.result:
				o.must(got.err)
				c.got = &got
			default:
				busy = busy || !o.waits(c.pid)
			}
		}
		if o.rotation != nil {
			select {
			case r := <-o.rotation.result:
				o.rotation = nil
				if r.err != nil && !errors.Is(r.err, store.ErrRetryable) {
					o.Fatal(r.err)
				}
				if r.dropped > 0 {
					o.dropped = append(o.dropped, r.dropped)
				}
				busy = true // others may go on now
			default:
				busy = busy || !o.rotationWaits()
			}
		}
		if !busy {
			return
		}
		if time.Now().After(deadline) {
			o.Fatal("a step is neither done nor waits")
		}
		time.Sleep(time.Millisecond)
	}
}

func (o *claimModel) waits(pid int) bool {
	var waits bool
	o.must(o.place.SQL().QueryRow(`SELECT count(*) > 0 FROM pg_locks WHERE pid = $1 AND NOT granted`, pid).Scan(&waits))
	return waits
}

// rotationWaits reports whether a rotation or a drop waits for a lock.
func (o *claimModel) rotationWaits() bool {
	pids := []string{}
	for _, c := range o.open {
		if c != nil {
			pids = append(pids, fmt.Sprint(c.pid))
		}
	}
	var waits bool
	o.must(o.place.SQL().QueryRow(`SELECT count(*) > 0 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE d.datname = current_database() AND NOT l.granted AND NOT l.pid::text = ANY (string_to_array($1, ','))`, strings.Join(pids, ",")).Scan(&waits))
	return waits
}

func (o *claimModel) commit(t *rapid.T)   { o.finish(o.drawDone(t), true) }
func (o *claimModel) rollBack(t *rapid.T) { o.finish(o.drawDone(t), false) }

// drawDone draws one of the finished claims: a waiting one can only wait.
func (o *claimModel) drawDone(t *rapid.T) int {
	var some []int
	for i, c := range o.open {
		if c != nil && c.got != nil {
			some = append(some, i)
		}
	}
	if len(some) == 0 {
		t.Skip("no claim is done")
	}
	return rapid.SampledFrom(some).Draw(t, "transaction")
}

// finish ends a transaction; at the end of a run it waits for its answer before that.
func (o *claimModel) finish(i int, commits bool) {
	c := o.open[i]
	if c == nil {
		return
	}
	for c.got == nil {
		for j, other := range o.open { // it waits for those that are done
			if other != nil && other.got != nil {
				o.finish(j, commits)
			}
		}
		o.await()
	}
	if commits {
		o.must(c.tx.Commit())
		for id := range c.got.ids {
			o.committed[id] = append(o.committed[id], c.got.generation)
		}
		for _, id := range c.wants {
			if !c.got.ids[id] {
				o.refused[id] = true
			}
		}
	} else {
		o.must(c.tx.Rollback())
	}
	o.open[i] = nil
	o.await()
}

func (o *claimModel) turn(t *rapid.T, do func(ctx context.Context) (int, error)) {
	if o.rotation != nil {
		t.Skip("one is under way")
	}
	o.rotation = &rotation{result: make(chan rotationResult, 1)}
	result := o.rotation.result
	go func() {
		dropped, err := do(context.Background())
		result <- rotationResult{dropped: dropped, err: err}
	}()
	o.await()
}

func (o *claimModel) rotate(t *rapid.T) {
	o.turn(t, func(ctx context.Context) (int, error) {
		_, err := inbox.Rotate(ctx, o.place.DB, 0)
		return 0, err
	})
}

// drop drops what a checkpoint has proven, which is made up here: the inbox is tested, not the audit.
func (o *claimModel) drop(t *rapid.T) {
	if o.rotation != nil {
		t.Skip("one is under way")
	}
	_, err := o.place.SQL().Exec(`
		INSERT INTO audit_checkpoint (id, previous, epoch, snapshot, floor, generation, admission_file, admission_end, movement_file, movement_end, tallies)
		SELECT n, n, 1, pg_current_snapshot(), 0, (SELECT max(generation) FROM inbox_generation), 0, '(0,0)', 0, '(0,0)', '{}' FROM nextval('audit_number') n`)
	o.must(err)
	o.turn(t, func(ctx context.Context) (int, error) { return inbox.Drop(ctx, o.place.DB, 0) })
}

func (o *claimModel) check() {
	for _, id := range o.events {
		generations := o.committed[id]
		if o.refused[id] && len(generations) == 0 {
			o.Fatalf("a claim of event %s was refused, and no other has it", id)
		}
		for k, g := range generations {
			last := k == len(generations)-1
			if !last && (!slices.Contains(o.dropped, g) || generations[k+1] <= g) {
				o.Fatalf("event %s was claimed in generations %v; %v were dropped", id, generations, o.dropped)
			}
		}
	}
}

// end leaves nothing running, whatever the outcome.
func (o *claimModel) end() {
	for _, c := range o.open {
		if c != nil {
			if c.got == nil { // it may wait for one that is ended after it
				go c.tx.Rollback()
				continue
			}
			c.tx.Rollback()
		}
	}
	if o.rotation != nil {
		<-o.rotation.result
	}
}

func textsOf(ids map[uuid.UUID]bool) (texts []string) {
	for id := range ids {
		texts = append(texts, id.String())
	}
	return texts
}
