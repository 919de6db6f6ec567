package method

import (
	"time"

	"github.com/composerp/composerp/workers/forecasting/series"
)

// onWeeks begins the name of a method of package series that forecasts an item's weeks.
const onWeeks = "weeks "

// weeks has a method of package series forecast the next week's demand from the weeks so far, and spreads it over the
// days by the profile. Weeks are counted from the history's first day. Before the first has ended, the level is the
// mean of the days. Weeks after the next one are expected to be like it: a trend goes no further.
type weeks struct {
	profile   Profile
	method    series.Method
	totals    []float64
	sum, seen float64 // of the week that has not ended
	days      int
	week      float64 // expected of a week
}

func newWeeks(m series.Method, profile Profile) *weeks { return &weeks{profile: profile, method: m} }

func (w *weeks) observe(day time.Weekday, demand float64) {
	w.sum += demand
	w.seen += w.profile[day]
	w.days++
	switch {
	case w.days == 7:
		w.totals = append(w.totals, w.sum)
		w.week = w.method.Forecast(w.totals, 1, 1)[0]
		w.sum, w.seen, w.days = 0, 0, 0
	case len(w.totals) == 0:
		w.week = 7 * w.sum / w.seen
	}
}

func (w *weeks) expect(day time.Weekday) float64 { return w.week / 7 * w.profile[day] }

func (w *weeks) reset() { w.totals, w.sum, w.seen, w.days, w.week = w.totals[:0], 0, 0, 0, 0 }
