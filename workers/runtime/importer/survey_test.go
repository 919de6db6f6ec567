package importer

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// TestSorter sorts in runs so short that there are many, and some have to be merged twice.
func TestSorter(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 9, 10, 11, 500, 10*fanIn + 1, 10*fanIn*2 + 5} {
		s := &sorter{limit: 10}
		random := rand.New(rand.NewPCG(1, uint64(n)))
		var want []entry
		for range n {
			e := newRowEntry(random.Int64N(50), random.Int64N(50))
			want = append(want, e)
			if err := s.add(e); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(want, compareEntries)
		next, err := s.sorted()
		if err != nil {
			t.Fatal(err)
		}
		var got []entry
		for {
			e, err := next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d entries in runs of 10: got %d, not all in order", n, len(got))
		}
		if len(s.files) > fanIn {
			t.Errorf("%d entries: %d runs merged at once", n, len(s.files))
		}
		s.close()
	}
}

// TestSorterLeavesNothing looks for the sorter's files while it uses them.
func TestSorterLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := &sorter{limit: 2}
	defer s.close()
	for i := range 9 {
		if err := s.add(newRowEntry(int64(i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 || len(s.files) != 4 {
		t.Errorf("%d files in use, with names: %v, %v", len(s.files), left, err)
	}
}

// TestRepeats counts occurrences of contents in a random order, against a map, and again from the middle on.
func TestRepeats(t *testing.T) {
	t.Parallel()
	const rows = 2000
	random := rand.New(rand.NewPCG(7, 7))
	keys := &sorter{limit: 64}
	defer keys.close()
	seen, want := map[[16]byte]int64{}, make([]int64, rows+1)
	for row := int64(1); row <= rows; row++ {
		if random.IntN(10) == 0 {
			want[row] = 1 // a row that is none: it is not counted and asks for nothing
			continue
		}
		key := [16]byte{byte(random.IntN(200)), byte(random.IntN(3))}
		seen[key]++
		want[row] = seen[key]
		if err := keys.add(newEntry(key, row)); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []int64{1, 2, 999, rows} {
		again := newSorter()
		again.run, again.files = slices.Clone(keys.run), slices.Clone(keys.files)
		found, err := findRepeats(again)
		if err != nil {
			t.Fatal(err)
		}
		for row := from; row <= rows; row++ {
			if got, err := found.occurrence(row); got != want[row] || err != nil {
				t.Fatalf("row %d: occurrence %d, %v; want %d", row, got, err, want[row])
			}
		}
		found.close()
	}
}

// TestIdentity holds what the ids of imported events are made of: they are a promise to every log that has some.
func TestIdentity(t *testing.T) {
	t.Parallel()
	id := func(names, values []string, tenant, source string, occurrence int64) string {
		var i identity
		i.of(&record{names: names, values: values, order: nameOrder(names)})
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
