package extsort

import (
	"errors"
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
		s := &Sorter{RunLength: 10}
		random := rand.New(rand.NewPCG(1, uint64(n)))
		var want []Entry
		for range n {
			e := NewRowEntry(random.Int64N(50), random.Int64N(50))
			want = append(want, e)
			if err := s.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(want, compareEntries)
		next, err := s.Sorted()
		if err != nil {
			t.Fatal(err)
		}
		var got []Entry
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
		s.Close()
	}
}

// TestSorterLeavesNothing looks for the sorter's files while it uses them.
func TestSorterLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := &Sorter{RunLength: 2}
	defer s.Close()
	for i := range 9 {
		if err := s.Add(NewRowEntry(int64(i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 || len(s.files) != 4 {
		t.Errorf("%d files in use, with names: %v, %v", len(s.files), left, err)
	}
}
