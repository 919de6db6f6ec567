package audit

import (
	"maps"
	"testing"
	"time"
)

// The looks are half a second apart and Settle is one: those at 1, 1.5 and 2 s are the middle.
func TestFewest(t *testing.T) {
	t.Parallel()
	type seen struct {
		held, retry, letters, unacked []int64 // snapshot by snapshot; the last one stays
		unknown                       bool
	}
	at := func(list []int64, i int) int64 {
		if len(list) == 0 {
			return 0
		}
		return list[min(i, len(list)-1)]
	}
	for name, c := range map[string]struct {
		seen
		looks  int
		fewest map[string]int64
	}{
		"nothing":                           {seen{}, 7, map[string]int64{"ledger": 0}},
		"the fewest of the middle":          {seen{held: []int64{9, 9, 5, 3, 4, 9}}, 7, map[string]int64{"ledger": 3}},
		"less at first and at last":         {seen{held: []int64{0, 0, 5, 3, 4, 0}}, 7, map[string]int64{"ledger": 3}},
		"too short a watch":                 {seen{}, 4, map[string]int64{}},
		"no look":                           {seen{}, 0, map[string]int64{}},
		"once in a retry queue":             {seen{retry: []int64{0, 0, 0, 0, 0, 0, 1}}, 7, map[string]int64{}},
		"once for the dead-letter log":      {seen{letters: []int64{1, 0}}, 7, map[string]int64{}},
		"once unacknowledged at the log":    {seen{unacked: []int64{0, 0, 0, 0, 0, 0, 1}}, 7, map[string]int64{}},
		"figures that are not known":        {seen{unknown: true}, 7, map[string]int64{}},
		"a long watch ends with a snapshot": {seen{held: []int64{0, 0, 0, 0, 0, 0, 0, 2}, retry: []int64{1, 1, 0}}, 20, map[string]int64{"ledger": 2}},
	} {
		w := history{settle: time.Second}
		for i := range c.looks {
			w.add(snapshot{at: time.Unix(0, int64(i)*int64(pause)), queues: []queue{
				{name: "composerp.ledger", held: at(c.held, i), ready: 7, known: !c.unknown},
				{name: "composerp.ledger.retry.5s", ready: int(at(c.retry, i)), known: true},
				{name: "composerp.dead-letter-log", role: deadLetterLog, ready: int(at(c.letters, i)), unacked: at(c.unacked, i), known: true},
				{name: "composerp.ledger.dead", role: dead, ready: 3, known: true},
			}})
		}
		if got := w.fewest(); !maps.Equal(got, c.fewest) {
			t.Errorf("%s: %v, want %v", name, got, c.fewest)
		}
	}
}
