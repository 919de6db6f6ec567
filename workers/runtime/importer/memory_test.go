package importer

import (
	"runtime"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/importer/extsort"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// heap gives how much memory is in use once all that is garbage is gone.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// spare is how much two readings of the heap may differ by chance. The files below are longer by far.
const spare = 2 << 20

// TestMemorySurvey reads a file whose rows do not fit the sorter's memory: what is in use at its end is what was in
// use early on. Not parallel, because the heap is the whole process's.
func TestMemorySurvey(t *testing.T) {
	const rows = 5 * extsort.DefaultRunLength / 2
	file, m := generatedTill(t, rows)
	var early, late int64
	src, err := rowfile.Open(file)
	must(t, err)
	defer src.Close()
	found, err := surveyOf(t.Context(), src, m, func(n int64) {
		switch n {
		case extsort.DefaultRunLength + surveyEvery: // the sorter has just begun anew
			early = heap()
		case 2*extsort.DefaultRunLength + surveyEvery:
			late = heap()
		}
	})
	must(t, err)
	defer found.repeats.close()
	r, err := newReading(t.Context(), src, m, found, 0)
	must(t, err)
	var tenth, ninetieth int64
	for n := 1; n <= rows; n++ {
		if _, err := r.next(); err != nil {
			t.Fatal(err)
		}
		switch n {
		case rows / 10:
			tenth = heap()
		case rows * 9 / 10:
			ninetieth = heap()
		}
	}
	t.Logf("survey: %d KiB early, %d KiB late; reading: %d KiB at 10 %%, %d KiB at 90 %%", early>>10, late>>10, tenth>>10, ninetieth>>10)
	if early == 0 || late-early > spare || ninetieth-tenth > spare {
		t.Error("memory grows with the file")
	}
}

// TestMemoryRun imports a file of many batches: what is in use near its end is what was in use near its beginning.
func TestMemoryRun(t *testing.T) {
	const rows = 60_000
	file, m := generatedTill(t, rows)
	var tenth, ninetieth int64
	report, err := Run(t.Context(), Options{DB: storetest.DB(t), File: file, Mapping: m, Progress: func(p Progress) {
		switch {
		case p.Phase != PhaseImport:
		case p.Tally.Rows == rows/10:
			tenth = heap()
		case p.Tally.Rows == rows*9/10:
			ninetieth = heap()
		}
	}})
	must(t, err)
	if report.Admitted != rows || report.Events[event.TypeSaleCompleted] != rows {
		t.Fatalf("got %+v", report.Tally)
	}
	t.Logf("%d KiB at 10 %%, %d KiB at 90 %%", tenth>>10, ninetieth>>10)
	if tenth == 0 || ninetieth == 0 || ninetieth-tenth > spare {
		t.Error("memory grows with the file")
	}
}
