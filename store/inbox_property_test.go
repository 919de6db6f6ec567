package store_test

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
)

// claiming is a transaction that claims, or waits to.
type claiming struct {
	tx     *store.Tx
	pid    int
	wants  []eventID
	result chan claimed
	got    *claimed // nil: it waits still
}

type claimed struct {
	ids        map[eventID]bool
	generation int
	err        error
}

// turning is a rotation or a drop that waits for claims in hand.
type turning struct{ result chan turned }

type turned struct {
	dropped int
	err     error
}

// office is an inbox that several transactions claim from while it rotates and
// forgets. Steps are drawn and started one after the other; one that has to wait
// for another goes on when that ends. So any order of claims, ends, rotations and
// drops may come up, and is found again by its seed.
type office struct {
	*rapid.T
	place    *place
	consumer store.ConsumerID
	events   []eventID
	open     [4]*claiming
	turning  *turning
	dropped  []int // generations
	// committed are the generations in which each event was claimed for good, and refused those that somebody else was said to have.
	committed map[eventID][]int
	refused   map[eventID]bool
}

// Any interleaving of real claims, rotations and drops: an event is claimed once,
// and once more only after the inbox has forgotten it; and who is refused an
// event was not the only one.
func TestAnyInterleavingIsClaimedOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 10)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs%5 > 1 {
			return // each makes and drops tables: two of five do
		}
		o := &office{T: rt, place: p, consumer: p.consumer(fmt.Sprintf("run %d", runs)), committed: map[eventID][]int{}, refused: map[eventID]bool{}}
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

func (o *office) must(err error) {
	if err != nil {
		o.Fatal(err)
	}
}

// claim begins a transaction that claims some of the events, in any order.
func (o *office) claim(t *rapid.T) {
	i := slices.Index(o.open[:], nil)
	if i < 0 {
		t.Skip("all are at work")
	}
	tx, err := o.place.Begin(context.Background())
	o.must(err)
	c := &claiming{tx: tx, result: make(chan claimed, 1)}
	o.open[i] = c
	o.must(tx.SQL().QueryRow(`SELECT pg_backend_pid()`).Scan(&c.pid))
	c.wants = rapid.Permutation(o.events).Draw(t, "order")[:rapid.IntRange(1, len(o.events)).Draw(t, "how many")]
	go func() {
		ids, err := tx.Claim(context.Background(), o.consumer, c.wants)
		got := claimed{ids: ids, err: err}
		if err == nil && len(ids) > 0 {
			got.err = tx.SQL().QueryRow(`SELECT max(generation) FROM inbox WHERE consumer = $1 AND event_id = ANY ($2)`, o.consumer, pq.StringArray(textsOf(ids))).Scan(&got.generation)
		}
		c.result <- got
	}()
	o.await()
}

// await waits until everybody who has begun something is done with it or waits for somebody.
func (o *office) await() {
	for deadline := time.Now().Add(localtest.Deadline(patience)); ; {
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
		if o.turning != nil {
			select {
			case r := <-o.turning.result:
				o.turning = nil
				if r.err != nil && !errors.Is(r.err, store.ErrRetryable) {
					o.Fatal(r.err)
				}
				if r.dropped > 0 {
					o.dropped = append(o.dropped, r.dropped)
				}
				busy = true // others may go on now
			default:
				busy = busy || !o.turningWaits()
			}
		}
		if !busy {
			return
		}
		if time.Now().After(deadline) {
			o.Fatal(localtest.Late(patience, "everybody is done or waits"))
		}
		time.Sleep(time.Millisecond)
	}
}

func (o *office) waits(pid int) bool {
	var waits bool
	o.must(o.place.SQL().QueryRow(`SELECT count(*) > 0 FROM pg_locks WHERE pid = $1 AND NOT granted`, pid).Scan(&waits))
	return waits
}

// turningWaits tells whether somebody who is no claimant waits for a lock.
func (o *office) turningWaits() bool {
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

func (o *office) commit(t *rapid.T)   { o.finish(o.drawDone(t), true) }
func (o *office) rollBack(t *rapid.T) { o.finish(o.drawDone(t), false) }

// drawDone draws one of those that have their answer: who waits can only go on waiting.
func (o *office) drawDone(t *rapid.T) int {
	var some []int
	for i, c := range o.open {
		if c != nil && c.got != nil {
			some = append(some, i)
		}
	}
	if len(some) == 0 {
		t.Skip("nobody is done")
	}
	return rapid.SampledFrom(some).Draw(t, "transaction")
}

// finish ends a transaction; at the end of a run it waits for its answer before that.
func (o *office) finish(i int, commits bool) {
	c := o.open[i]
	if c == nil {
		return
	}
	for c.got == nil {
		for j, other := range o.open { // those that are done are what it waits for
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

func (o *office) turn(t *rapid.T, do func(ctx context.Context) (int, error)) {
	if o.turning != nil {
		t.Skip("one is under way")
	}
	o.turning = &turning{result: make(chan turned, 1)}
	result := o.turning.result
	go func() {
		dropped, err := do(context.Background())
		result <- turned{dropped: dropped, err: err}
	}()
	o.await()
}

func (o *office) rotate(t *rapid.T) {
	o.turn(t, func(ctx context.Context) (int, error) {
		_, err := o.place.RotateInbox(ctx, 0)
		return 0, err
	})
}

// drop drops what a checkpoint has proven, which is made up here: the inbox is tried, and not the audit.
func (o *office) drop(t *rapid.T) {
	if o.turning != nil {
		t.Skip("one is under way")
	}
	_, err := o.place.SQL().Exec(`
		INSERT INTO audit_checkpoint (id, previous, epoch, snapshot, floor, generation, admission_file, admission_end, movement_file, movement_end, tallies)
		SELECT n, n, 1, pg_current_snapshot(), 0, (SELECT max(generation) FROM inbox_generation), 0, '(0,0)', 0, '(0,0)', '{}' FROM nextval('audit_number') n`)
	o.must(err)
	o.turn(t, func(ctx context.Context) (int, error) { return o.place.DropInbox(ctx, 0) })
}

func (o *office) check() {
	for _, id := range o.events {
		generations := o.committed[id]
		if o.refused[id] && len(generations) == 0 {
			o.Fatalf("event %s was refused to somebody, and nobody has it", id)
		}
		for k, g := range generations {
			last := k == len(generations)-1
			if !last && (!slices.Contains(o.dropped, g) || generations[k+1] <= g) {
				o.Fatalf("event %s was claimed in generations %v; %v were dropped", id, generations, o.dropped)
			}
		}
	}
}

// end leaves nobody at work, whatever has become of this run.
func (o *office) end() {
	for _, c := range o.open {
		if c != nil {
			if c.got == nil { // it may wait for one that is ended after it
				go c.tx.Rollback()
				continue
			}
			c.tx.Rollback()
		}
	}
	if o.turning != nil {
		<-o.turning.result
	}
}

func textsOf(ids map[eventID]bool) (texts []string) {
	for id := range ids {
		texts = append(texts, id.String())
	}
	return texts
}
