package importer

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/composerp/composerp/workers/runtime/importer/extsort"
)

// TestRepeats counts occurrences of contents in a random order, against a map, and again from the middle on.
func TestRepeats(t *testing.T) {
	t.Parallel()
	const rows = 2000
	random := rand.New(rand.NewPCG(7, 7))
	var entries []extsort.Entry
	seen, want := map[[16]byte]int64{}, make([]int64, rows+1)
	for row := int64(1); row <= rows; row++ {
		if random.IntN(10) == 0 {
			want[row] = 1 // a row that is none: it is not counted and asks for nothing
			continue
		}
		key := [16]byte{byte(random.IntN(200)), byte(random.IntN(3))}
		seen[key]++
		want[row] = seen[key]
		entries = append(entries, extsort.NewEntry(key, row))
	}
	for _, from := range []int64{1, 2, 999, rows} {
		keys := &extsort.Sorter{RunLength: 64}
		for _, e := range entries {
			must(t, keys.Add(e))
		}
		found, err := findRepeats(keys)
		must(t, err)
		for row := from; row <= rows; row++ {
			if got, err := found.occurrence(row); got != want[row] || err != nil {
				t.Fatalf("row %d: occurrence %d, %v; want %d", row, got, err, want[row])
			}
		}
		found.close()
		keys.Close()
	}
}

// TestIdentity holds what the ids of imported events are made of: they are a promise to every log that has some.
func TestIdentity(t *testing.T) {
	t.Parallel()
	id := func(names, values []string, tenant, source string, occurrence int64) string {
		var i identity
		i.of(recordOf(names, values))
		return i.rowID(tenant, source, occurrence).String()
	}
	base := id([]string{"a", "b"}, []string{"1", "2"}, "t", "s", 1)
	if want := "584dae74-991f-5e7d-84e6-d162d0b18765"; base != want {
		t.Errorf("the id of a row: got %s, want %s", base, want)
	}
	if same := id([]string{"b", "c", "a"}, []string{"2", "", "1"}, "t", "s", 1); same != base {
		t.Error("the order of columns, or an empty one, changes the id")
	}
	seen := map[string]int{base: -1}
	for i, other := range []string{
		id([]string{"a", "b"}, []string{"1", "2"}, "t", "s", 2),
		id([]string{"a", "b"}, []string{"1", "2"}, "u", "s", 1),
		id([]string{"a", "b"}, []string{"1", "2"}, "t", "r", 1),
		id([]string{"a", "b"}, []string{"1", "2"}, "ts", "", 1),
		id([]string{"a", "b"}, []string{"2", "1"}, "t", "s", 1),
		id([]string{"a", "b"}, []string{"12", ""}, "t", "s", 1),
		id([]string{"a1", "b"}, []string{"", "2"}, "t", "s", 1),
		id([]string{"ab"}, []string{"12"}, "t", "s", 1),
	} {
		if before, known := seen[other]; known {
			t.Errorf("row %d has the id of row %d", i, before)
		}
		seen[other] = i
	}
	if fmt.Sprint(base[14:15]) != "5" {
		t.Errorf("%s is no UUIDv5", base)
	}
}
