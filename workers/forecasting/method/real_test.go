package method_test

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/workers/forecasting/method"
)

const realFile = "online-retail-2010-12_2011-08.csv.gz"

var stocked = regexp.MustCompile(`^[0-9]{5}[A-Za-z]*$`)

// realFirst is the first day of the real till's file.
var realFirst = time.Date(2010, time.December, 1, 0, 0, 0, 0, time.UTC)

// realDemand reads the real till's daily demand by item, sold less returned on the
// day, by the rules of the data's own README. It skips the test, loudly, where the
// file is not there.
func realDemand(t testing.TB, days int) map[string][]float64 {
	t.Helper()
	shared := os.Getenv("COMPOSERP_SHARED_DATA")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	in, err := os.Open(filepath.Join(shared, realFile))
	if err != nil && os.Getenv("COMPOSERP_NO_SKIP") != "" {
		t.Fatalf("the real till's file must be here: %v", err)
	}
	if err != nil {
		t.Skipf("SKIPPED, AND NOT PROVEN: the real till's file is not here (%v); set COMPOSERP_SHARED_DATA to its folder", err)
	}
	defer in.Close()
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	net := map[string][]float64{}
	reader := csv.NewReader(unzipped)
	reader.ReuseRecord = true
	for n := 0; ; n++ {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		returned := strings.HasPrefix(record[0], "C")
		if n == 0 || !stocked.MatchString(record[1]) || strings.HasPrefix(record[3], "-") && !returned {
			continue
		}
		at, err := time.Parse(time.DateOnly, record[4][:10])
		if err != nil {
			t.Fatal(err)
		}
		day, code := int(at.Sub(realFirst)/(24*time.Hour)), strings.ToUpper(record[1])
		quantity, err := strconv.ParseFloat(record[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		if day >= days {
			break // the file is in date order
		}
		if net[code] == nil {
			net[code] = make([]float64, days)
		}
		net[code][day] += quantity
	}
	for _, demand := range net {
		for i := range demand {
			demand[i] = math.Max(0, demand[i])
		}
	}
	return net
}

// score adds up what was forecast and what happened.
type score struct{ chosen, last, week, scale, days float64 }

// backtest runs weekly over all items, horizon seven days, as the worker does, and
// gives the squared errors of what was chosen, of the last day's value and of the
// seasonal naive method, by item, and how often each method was chosen.
func backtest(demand map[string][]float64, days int) (scores map[string]*score, chosen map[string]int) {
	scores, chosen = map[string]*score{}, map[string]int{}
	items := slices.Sorted(maps.Keys(demand))
	for origin := 7; origin+7 <= days; origin += 7 {
		trade := make([]float64, origin)
		for _, v := range demand {
			for d := range trade {
				if v[d] > 0 {
					trade[d]++
				}
			}
		}
		chooser := method.NewChooser(method.ProfileOf(trade, realFirst.Weekday()))
		for _, item := range items {
			v := demand[item]
			sold := slices.IndexFunc(v, func(x float64) bool { return x > 0 })
			if sold < 0 || sold >= origin {
				continue
			}
			from := max(0, sold-method.LeadIn, origin-method.Longest)
			f := chooser.Choose(method.History{Demand: v[from:origin], First: realFirst.AddDate(0, 0, from).Weekday()}, 7)
			chosen[f.Method]++
			s := scores[item]
			if s == nil {
				s = &score{scale: scaleOf(v[sold:days])}
				scores[item] = s
			}
			s.days += 7
			for h, y := range v[origin : origin+7] {
				s.chosen += math.Pow(y-f.Daily[h], 2)
				s.last += math.Pow(y-v[origin-1], 2)
				s.week += math.Pow(y-v[origin+h-7], 2)
			}
		}
	}
	return scores, chosen
}

// scaleOf is the mean squared difference of one day to the next.
func scaleOf(v []float64) float64 {
	sum := 0.0
	for i := 1; i < len(v); i++ {
		sum += math.Pow(v[i]-v[i-1], 2)
	}
	return sum / math.Max(1, float64(len(v)-1))
}

// rmsse is sqrt(MSE / scale): its mean over all items, and that weighted by the units sold.
func rmsse(demand map[string][]float64, scores map[string]*score, of func(*score) float64) (mean, weighted float64) {
	var items, units float64
	for item, s := range scores {
		if s.scale == 0 {
			continue
		}
		total := 0.0
		for _, y := range demand[item] {
			total += y
		}
		e := math.Sqrt(of(s) / s.days / s.scale)
		mean, weighted, items, units = mean+e, weighted+e*total, items+1, units+total
	}
	return mean / items, weighted / units
}

// On a real till's demand what is chosen beats both naive forecasts, over all
// items. COMPOSERP_REAL_ROWS=0 takes the whole file.
func TestTheChosenBeatTheNaiveOnARealTill(t *testing.T) {
	t.Parallel()
	days := 126
	if os.Getenv("COMPOSERP_REAL_ROWS") == "0" {
		days = 274
	}
	demand := realDemand(t, days)
	began := time.Now()
	scores, chosen := backtest(demand, days)
	took := time.Since(began)
	t.Logf("%d items, %d days, weekly runs, 7 days ahead, %v", len(scores), days, took.Round(time.Millisecond))
	t.Logf("%-22s %8s %8s", "RMSSE", "mean", "by units")
	got := map[string][2]float64{}
	for _, c := range []struct {
		name string
		of   func(*score) float64
	}{
		{"chosen", func(s *score) float64 { return s.chosen }},
		{"last day (naive)", func(s *score) float64 { return s.last }},
		{"seasonal naive", func(s *score) float64 { return s.week }},
	} {
		mean, weighted := rmsse(demand, scores, c.of)
		got[c.name] = [2]float64{mean, weighted}
		t.Logf("%-22s %8.4f %8.4f", c.name, mean, weighted)
	}
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		t.Logf("chosen %6d times: %s", chosen[name], name)
	}
	for _, naive := range []string{"last day (naive)", "seasonal naive"} {
		for i, by := range []string{"mean over items", "weighted by units"} {
			if got["chosen"][i] > 0.8*got[naive][i] {
				t.Errorf("%s: the chosen forecasts have an RMSSE of %.4f, %s %.4f: want a fifth less", by, got["chosen"][i], naive, got[naive][i])
			}
		}
	}
	if len(chosen) < 8 {
		t.Errorf("only %d methods were ever chosen: %v", len(chosen), fmt.Sprint(chosen))
	}
}
