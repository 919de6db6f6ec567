package benchmark

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Both formats, a folder of both, and what is no series in it.
func TestRead(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"a.csv":      "id,period,horizon,v1\nA,1,2,1,2,3,4.5,5,,\n",
		"b.ndjson":   `{"id":"B","period":12,"horizon":1,"values":[1,2,3,4e2]}` + "\n\n",
		"README.txt": "nothing",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := Read(folder)
	if err != nil || len(all) != 2 || all[0].ID != "A" || all[1].Period != 12 ||
		!slices.Equal(all[0].history(), []float64{1, 2, 3}) || !slices.Equal(all[0].happened(), []float64{4.5, 5}) || !slices.Equal(all[1].happened(), []float64{400}) {
		t.Fatalf("read %+v, %v", all, err)
	}
}

// What is wrong is named with its file, its line and what is wanted.
func TestReadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"id":"","period":1,"horizon":1,"values":[1,2,3,4]}`:            "line 1: the id is missing",
		`{"id":"a","period":0,"horizon":1,"values":[1,2,3,4]}`:           "has the period 0",
		`{"id":"a","period":1,"horizon":0,"values":[1,2,3,4]}`:           "has the horizon 0",
		"\n" + `{"id":"a","period":1,"horizon":2,"values":[1,2,3,4]}`:    "line 2: series a has 4 values: want 3 at least before the 2",
		`{"id":"a","period":1,"horizon":1,"values":[1,2,1e16,4]}`:        "value 3 of series a",
		`{"id":"a","period":1,"horizon":1,"values":[1,2,3,4],"seas":12}`: `unknown field "seas"`,
	} {
		if _, err := Read(write(t, "a.ndjson", text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a.ndjson") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"a,1,1,1,2,3,4\n":                      "must begin with id,period,horizon",
		"id,period,horizon\na,1\n":             "line 2: want id, period, horizon",
		"id,period,horizon\na,x,1,1,2,3,4\n":   `the period "x" is no whole number`,
		"id,period,horizon\na,1,1,1,2,,4\n":    `value 3 of series a is ""`,
		"id,period,horizon\na,1,1,1,2,NaN,4\n": "want a number up to",
		"id,period,horizon\na,1,1,1,\"2,3,4\n": "quote",
		"id,period,horizon\n":                  "no series in",
	} {
		if _, err := Read(write(t, "a.csv", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
}

// A decoder of files from anywhere ends with series that can be measured, or with an error.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"id":"B","period":12,"horizon":1,"values":[1,2,3,4e2]}`), false)
	f.Add([]byte("id,period,horizon\na,1,1,1,2,3,4\n"), true)
	f.Fuzz(func(t *testing.T, text []byte, isCSV bool) {
		all, err := readLines(strings.NewReader(string(text)))
		if isCSV {
			all, err = readCSV(strings.NewReader(string(text)))
		}
		if err != nil {
			return
		}
		for i := range all {
			if err := all[i].check(); err != nil || len(all[i].history()) < leastSeen {
				t.Fatalf("series %+v passed: %v", all[i], err)
			}
		}
	})
}

// Worked by hand. Series one, period 2, sees 2 4 2 6 and has 4 2 held back; naive expects 6 6, seasonal naive 2 6.
//
//	sMAPE            naive (200·2/10 + 200·4/8) / 2 = 70, seasonal (200·2/6 + 200·4/8) / 2 = 83.33
//	scales           |2-2| + |6-4| of two: 1; 4 + 4 + 16 of three: 8
//	MASE             naive (2 + 4) / 2 / 1 = 3, seasonal 3
//	RMSSE            naive sqrt((4 + 16) / 2 / 8) = 1.118, seasonal the same
//
// Series two, period 1, sees 0 0 3 1 and has 0 held back: naive expects 1. sMAPE 200, MASE 1 / (5/3) = 0.6; its
// squares begin at the 3: 1 / 2 = 0.5. Series three sees 5 5 5 and is left out of the scaled ones. Bias: naive
// (2 + 4 + 1 + 0) / (4 + 2 + 0 + 5).
func TestFiguresByHand(t *testing.T) {
	t.Parallel()
	all := []Series{
		{"one", 2, 2, []float64{2, 4, 2, 6, 4, 2}},
		{"two", 1, 1, []float64{0, 0, 3, 1, 0}},
		{"three", 1, 1, []float64{5, 5, 5, 5}},
	}
	calls := 0
	r, err := Run(t.Context(), all, func(int, int) { calls++ })
	if err != nil || r.Series != 3 || r.HeldBack != 4 || r.Unscaled != 1 || r.Short != 3 || calls != 3 {
		t.Fatalf("%+v after %d calls: %v", r, calls, err)
	}
	for name, want := range map[string]Figures{
		"naive":          {SMAPE: (70 + 200 + 0) / 3.0, MASE: (3 + 0.6) / 2, RMSSE: (math.Sqrt(20.0/2/8) + 0.5) / 2, Bias: 100 * 7.0 / 11},
		"seasonal naive": {SMAPE: (200.0/6 + 50 + 200 + 0) / 3, MASE: (3 + 0.6) / 2, RMSSE: (math.Sqrt(20.0/2/8) + 0.5) / 2, Bias: 100 * 3.0 / 11},
	} {
		i := slices.IndexFunc(r.Methods, func(f Figures) bool { return f.Method == name })
		got := r.Methods[i]
		for what, pair := range map[string][2]float64{"sMAPE": {got.SMAPE, want.SMAPE}, "MASE": {got.MASE, want.MASE}, "RMSSE": {got.RMSSE, want.RMSSE}, "bias": {got.Bias, want.Bias}} {
			if math.Abs(pair[0]-pair[1]) > 1e-9 {
				t.Errorf("%s: %s is %v, want %v", name, what, pair[0], pair[1])
			}
		}
		if !math.IsNaN(got.Coverage) || !got.Simple {
			t.Errorf("%s: coverage %v without a back-test, simple %v", name, got.Coverage, got.Simple)
		}
	}
}

// A series not longer than a period has the scale of its steps.
func TestScaleOfAShortSeries(t *testing.T) {
	t.Parallel()
	if s := scaleOf([]float64{1, 2, 4}, 5); s.absolute != 1.5 || s.squared != 2.5 {
		t.Errorf("the scale is %+v", s)
	}
}

// Weeks of seven days bring the worker's own row; the intervals of a level with even noise cover what they say.
func TestTheWorkerIsMeasuredOnDays(t *testing.T) {
	t.Parallel()
	var all []Series
	for k := range 20 {
		s := Series{ID: string(rune('a' + k)), Period: daysOfWeek, Horizon: daysOfWeek}
		for i := range 35 { // too few for a method with a level for each weekday
			units := 20 + float64((i*i*7+k*13)%11) // a noise of its own
			if i%7 == 6 {
				units = 0
			}
			s.Values = append(s.Values, units)
		}
		all = append(all, s)
	}
	r, err := Run(t.Context(), all, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := r.Methods[len(r.Methods)-1]
	if last.Method != Worker || math.Abs(last.Bias) > 10 || last.Coverage < 85 {
		t.Errorf("the worker's figures are %+v", last)
	}
	for _, f := range r.Methods {
		if f.Method == "mean" && last.RMSSE > 0.7*f.RMSSE {
			t.Errorf("the worker knows the closed day and has an RMSSE of %v, the mean %v", last.RMSSE, f.RMSSE)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Run(stopped, all, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped, it ends with %v", err)
	}
}

// The figures that others published, and the goals, on the series of M3 and M4. These are not in the repository: where
// they are not beside it either, this skips.
func TestPublishedFigures(t *testing.T) {
	t.Parallel()
	for folder, c := range map[string]struct {
		published, atMost map[string]float64
	}{
		// Makridakis and Hibon 2000 as R's Mcomp recalculates it; Fiorucci et al. 2016, 13.74.
		"m3-monthly": {map[string]float64{"theta": 13.89, "optimised theta": 13.74}, map[string]float64{"chosen": 13.9}},
		// Makridakis, Spiliotis and Assimakopoulos 2020.
		"m4-weekly": {map[string]float64{"naive": 9.16}, map[string]float64{"chosen": 8.9}},
	} {
		path := filepath.Join("..", "..", "..", "..", "shared", "bench-series", folder)
		if shared := os.Getenv("COMPOSERP_BENCH_SERIES"); shared != "" {
			path = filepath.Join(shared, folder)
		}
		if _, err := os.Stat(path); err != nil {
			t.Skipf("SKIPPED, AND NOT PROVEN: the series are not here (%v); docs/howto/forecast-benchmark.md says how to make them, set COMPOSERP_BENCH_SERIES to their folder", err)
		}
		all, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		ways := slices.DeleteFunc(waysOf(all), func(w way) bool { _, published := c.published[w.name]; return !published && c.atMost[w.name] == 0 })
		for i := range ways { // intervals take four times as long as forecasts
			ways[i].deviations = func(s *Series) []float64 { return make([]float64, s.Horizon) }
		}
		r, err := run(t.Context(), all, ways, nil)
		if err != nil || len(r.Methods) != len(c.published)+len(c.atMost) {
			t.Fatalf("%d methods: %v", len(r.Methods), err)
		}
		for _, f := range r.Methods {
			if want, is := c.published[f.Method]; is && math.Abs(f.SMAPE-want) > 0.03 {
				t.Errorf("%s: %s has an sMAPE of %.3f, published is %.2f", folder, f.Method, f.SMAPE, want)
			}
			if most, is := c.atMost[f.Method]; is && f.SMAPE > most {
				t.Errorf("%s: %s has an sMAPE of %.3f, want %.2f at most", folder, f.Method, f.SMAPE, most)
			}
		}
	}
}
