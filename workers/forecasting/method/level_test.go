package method

import (
	"math"
	"testing"
	"time"

	"github.com/composerp/composerp/workers/forecasting/series"
)

const tolerance = 1e-9

func near(a, b float64) bool { return math.Abs(a-b) <= tolerance*math.Max(1, math.Abs(b)) }

// expectations tells a method a history from Monday on, and gives what it expects
// of the next day before each of them, and after the last.
func expectations(s smoother, demand ...float64) []float64 {
	s.reset()
	got := make([]float64, 0, len(demand)+1)
	for i := 0; i <= len(demand); i++ {
		day := (time.Monday + time.Weekday(i%7)) % 7
		got = append(got, s.expect(day))
		if i < len(demand) {
			s.observe(day, demand[i])
		}
	}
	return got[1:] // nothing is known before the first day
}

func TestLevelsByHand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		of     smoother
		demand []float64
		want   []float64
	}{
		// The mean of one, two, three days, then alpha = 0.3 is less than a quarter no more.
		"SES":                            {newSES(0.3, Flat), []float64{10, 20, 0, 10, 10}, []float64{10, 15, 10, 10, 10}},
		"SES, when alpha has taken over": {newSES(0.5, Flat), []float64{4, 8, 0, 2}, []float64{4, 6, 3, 2.5}},
		// size 6, then 6 + 0.2 (3 - 6) = 5.4; interval 2, then 2 + 0.2 (3 - 2) = 2.2; times 1 - 0.1.
		"SBA": {newSBA(0.2, Flat), []float64{0, 6, 0, 0, 3, 0}, []float64{0, 2.7, 2.7, 2.7, 0.9 * 5.4 / 2.2, 0.9 * 5.4 / 2.2}},
		// The probability is a mean of days until beta takes over: 0, 1/2, then 0.4 of the way: 0.3, 0.18, 0.508.
		"TSB":            {newTSB(0.2, 0.4, Flat), []float64{0, 6, 0, 0, 3}, []float64{0, 3, 6 * 0.3, 6 * 0.18, 5.4 * 0.508}},
		"seasonal naive": {newSeasonal(1), []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, []float64{1, 1.5, 2, 2.5, 3, 3.5, 1, 2, 3}},
		// Mondays 1, 8: their mean, then half of the way to 20.
		"every weekday by itself": {newSeasonal(0.5), []float64{1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0},
			[]float64{1, 1.5, 2, 2.5, 3, 3.5, 1, 2, 3, 4, 5, 6, 7, 4.5, 1, 1.5, 2, 2.5, 3, 3.5, 12.25}},
	} {
		got := expectations(c.of, c.demand...)
		for i := range c.want {
			if !near(got[i], c.want[i]) {
				t.Errorf("%s: after %v it expects %v, want %v", name, c.demand[:i+1], got[i], c.want[i])
			}
		}
	}
}

// The example of Croston's method in Shenstone and Hyndman (Journal of Forecasting
// 24, 2005), as they define it: demands z and intervals p are smoothed by SES.
func TestSBAIsCrostonsRatioLessItsBias(t *testing.T) {
	t.Parallel()
	demand := []float64{0, 2, 0, 1, 0, 0, 0, 0, 4, 0, 0, 1}
	const alpha = 0.1
	size, interval := 2.0, 2.0
	for _, d := range [][2]float64{{1, 2}, {4, 5}, {1, 3}} {
		size, interval = size+alpha*(d[0]-size), interval+alpha*(d[1]-interval)
	}
	got := expectations(newSBA(alpha, Flat), demand...)
	if want := (1 - alpha/2) * size / interval; !near(got[len(got)-1], want) {
		t.Errorf("want %v, got %v", want, got[len(got)-1])
	}
}

// A closed day is no step: whatever lies on it is no evidence of falling demand.
func TestTimeThatTrades(t *testing.T) {
	t.Parallel()
	open := Profile{1.4, 1.4, 1.4, 1.4, 1.4, 0, 0}
	open[time.Saturday], open[time.Sunday], open[time.Friday] = 1e-9, 1e-9, 1.4
	demand := []float64{14, 14, 14, 14, 14, 0, 0, 14, 14, 14, 14, 14, 0, 0, 14}
	for name, s := range map[string]smoother{
		"SES": newSES(0.2, open), "SBA": newSBA(0.2, open), "TSB": newTSB(0.2, 0.1, open),
	} {
		expectations(s, demand...)
		weekday, saturday := s.expect(time.Tuesday), s.expect(time.Saturday)
		want := 14.0
		if name == "SBA" {
			want *= 0.9
		}
		if math.Abs(weekday-want) > 1e-6 || saturday > 1e-6 {
			t.Errorf("%s expects %v of a Tuesday, want %v, and %v of a Saturday", name, weekday, want, saturday)
		}
	}
	// Two days of half the trade are one day.
	half := Profile{0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5}
	one, two := newSES(0.3, Flat), newSES(0.3, half)
	one.level, one.seen, two.level, two.seen = 10, 100, 10, 100
	one.observe(0, 4)
	two.observe(0, 2)
	two.observe(1, 2)
	if !near(one.level, two.level) {
		t.Errorf("a day takes the level to %v, two halves to %v", one.level, two.level)
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	if p := ProfileOf(nil, time.Monday); p != Flat {
		t.Errorf("of nothing it is %v", p)
	}
	if p := ProfileOf(make([]float64, 30), time.Monday); p != Flat {
		t.Errorf("of no trade it is %v", p)
	}
	// Four weeks from a Wednesday on, 70 on six days, none on Saturdays. A day's mean is 60, a
	// weekday's index (4 · 70/60 + 1) / 5 = 17/15, a Saturday's (0 + 1) / 5; their sum is 7.
	trade := make([]float64, 28)
	for i := range trade {
		if (int(time.Wednesday)+i)%7 != int(time.Saturday) {
			trade[i] = 70
		}
	}
	p := ProfileOf(trade, time.Wednesday)
	for d, index := range p {
		want := 17.0 / 15
		if time.Weekday(d) == time.Saturday {
			want = 0.2
		}
		if !near(index, want) {
			t.Errorf("the index of %s is %v, want %v", time.Weekday(d), index, want)
		}
	}
	// Only the last weeks count, and the weekdays do not shift by what is left out.
	if long := ProfileOf(append(make([]float64, 7*20), trade...), time.Wednesday); long[time.Saturday] >= long[time.Sunday] {
		t.Errorf("after twenty silent weeks it is %v", long)
	}
	// Ninety-six days, the second a Saturday: the first five are left out, and Saturdays are Saturdays still.
	shifted := make([]float64, 7*profileWeeks+5)
	for i := range shifted {
		if (int(time.Friday)+i)%7 != int(time.Saturday) {
			shifted[i] = 1
		}
	}
	if p := ProfileOf(shifted, time.Friday); p[time.Saturday] > 0.2 || p[time.Sunday] < 1 || p[time.Monday] < 1 {
		t.Errorf("of weeks that begin on a Friday it is %v", p)
	}
	old := make([]float64, 7*profileWeeks+5)
	for i := range old {
		old[i] = 1
		if i < 5 {
			old[i] = 1e6
		}
	}
	if p := ProfileOf(old, time.Monday); p != Flat {
		t.Errorf("what is older than %d weeks shows in %v", profileWeeks, p)
	}
}

// Two weeks of 14 and 28, and a day of 9: after a day the mean of the days, after a week its total, after two what the
// method makes of both, a seventh a day by an even profile; a day of the third week changes nothing before its end.
func TestWeeksAreForecastFromWeeks(t *testing.T) {
	t.Parallel()
	naive, _ := series.Named("naive")
	demand := append(append(repeat([]float64{2}, 7), repeat([]float64{4}, 7)...), 9)
	got := expectations(newWeeks(naive, Flat), demand...)
	for day, want := range map[int]float64{0: 2, 6: 2, 7: 2, 12: 2, 13: 4, 14: 4} {
		if !near(got[day], want) {
			t.Errorf("after day %d it expects %v, want %v", day, got[day], want)
		}
	}
	// A closed day has none of a week's demand, the others have all of it.
	open := Profile{0, 1.4, 1.4, 1.4, 1.4, 1.4, 0}
	open[time.Sunday], open[time.Saturday] = 1e-9, 1e-9
	w := newWeeks(naive, open)
	expectations(w, 14, 14, 14, 14, 14, 0, 0)
	if monday, sunday := w.expect(time.Monday), w.expect(time.Sunday); math.Abs(monday-14) > 1e-6 || sunday > 1e-6 {
		t.Errorf("it expects %v of a Monday and %v of a Sunday", monday, sunday)
	}
}
