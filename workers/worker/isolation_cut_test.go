package worker

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
)

// shelter is a queue of suspect messages and the processes that die of some of them, with the notes in a database.
type shelter struct {
	*storetest.Env
	random   *rand.Rand
	queue    []rabbitmq.Delivery
	poison   map[string]bool
	mishaps  int // how many ends of a process no message has caused
	attempts int
	deaths   int
	dead     []string
	handled  map[string]bool
}

// run takes a batch as a slot does, with a part of it ready. It ends with its process, or when all is done.
func (s *shelter) run() {
	s.Helper()
	n := 1 + s.random.IntN(min(setBatch, len(s.queue)))
	if s.random.IntN(3) > 0 {
		n = min(setBatch, len(s.queue))
	}
	noted, err := failures.SuspectBatches(s.Context(), s.DB, "w", suspectNames(s.queue[:n]))
	storetest.Must(s, err)
	for _, batch := range cut(slices.Clone(s.queue[:n]), noted) {
		if s.dies(batch) {
			s.deaths++
			return
		}
		s.queue = s.queue[len(batch):]
	}
}

// dies attempts a batch in the steps of processSuspects.
func (s *shelter) dies(batch []rabbitmq.Delivery) bool {
	s.Helper()
	s.attempts++
	names := suspectNames(batch)
	deaths, err := failures.NoteSuspects(s.Context(), s.DB, "w", names, len(batch))
	storetest.Must(s, err)
	if len(batch) == 1 && deaths >= suspectAfter {
		s.dead = append(s.dead, batch[0].ID)
	} else {
		if slices.ContainsFunc(batch, func(d rabbitmq.Delivery) bool { return s.poison[d.ID] }) || s.mishap() {
			return true
		}
		for _, d := range batch {
			s.handled[d.ID] = true
		}
	}
	if s.mishap() {
		return true
	}
	storetest.Must(s, failures.ClearSuspects(s.Context(), s.DB, "w", names))
	return s.mishap()
}

func (s *shelter) mishap() bool {
	if s.mishaps == 0 || s.random.IntN(6) > 0 {
		return false
	}
	s.mishaps--
	return true
}

// Of hundreds of suspect messages those that kill the process end as dead letters, and no other, whatever kills the
// process besides; and it takes few attempts and few deaths.
func TestPoisonComesToBeAlone(t *testing.T) {
	t.Parallel()
	for _, k := range []int{0, 1, 2, 5} {
		seed := rand.Uint64()
		s := &shelter{
			Env: storetest.NewEnv(t, 2), random: rand.New(rand.NewPCG(seed, 0)), mishaps: suspectAfter - 1,
			poison: map[string]bool{}, handled: map[string]bool{},
		}
		mishaps, n := s.mishaps, setBatch+s.random.IntN(2*setBatch)
		for range n {
			s.queue = append(s.queue, rabbitmq.Delivery{Message: rabbitmq.Message{ID: uuid.NewString()}, DeliveryCount: suspectAfter})
		}
		for range k {
			s.poison[s.queue[s.random.IntN(n)].ID] = true
		}
		for len(s.queue) > 0 {
			// Of setBatch messages there are batches of setBatch, an eighth of it, and so on down to one: four sizes.
			if s.run(); s.deaths > k*(3+suspectAfter)+mishaps || s.attempts > 200+60*(k+mishaps) {
				t.Fatalf("seed %d: %d of %d messages are poison: the process died %d times in %d attempts", seed, k, n, s.deaths, s.attempts)
			}
		}
		slices.Sort(s.dead)
		if dead := slices.Compact(s.dead); len(dead) != len(s.poison) || slices.ContainsFunc(dead, func(id string) bool { return !s.poison[id] }) {
			t.Errorf("seed %d: of %d poison messages among %d there are %d dead letters", seed, len(s.poison), n, len(dead))
		}
		if len(s.handled) != n-len(s.poison) {
			t.Errorf("seed %d: %d of %d innocent messages were handled", seed, len(s.handled), n-len(s.poison))
		}
		t.Logf("%d of %d messages are poison: %d deaths, %d attempts", k, n, s.deaths, s.attempts)
	}
}
