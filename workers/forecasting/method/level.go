package method

import (
	"math"
	"time"
)

// smoother estimates what is demanded from one day after another.
type smoother interface {
	// observe takes a day's demand.
	observe(day time.Weekday, demand float64)
	// expect gives the units expected on such a day, by what was observed so far.
	expect(day time.Weekday) float64
	// reset forgets what was observed.
	reset()
}

// steps gives by weekday how far a smoothing constant goes in a day of its
// weight: as far as in weight days of weight one, 1 - (1 - alpha)^weight.
func steps(alpha float64, profile Profile) (far [7]float64) {
	for d, weight := range profile {
		far[d] = 1 - math.Pow(1-alpha, weight)
	}
	return far
}

// ses is simple exponential smoothing (Brown 1956): level += alpha (demand - level).
// Until the mean of the days so far gives a day more than alpha, it is that mean,
// so that the first day is no more to it than the others.
type ses struct {
	profile     Profile
	far         [7]float64
	level, seen float64
}

func newSES(alpha float64, profile Profile) *ses {
	return &ses{profile: profile, far: steps(alpha, profile)}
}

func (s *ses) observe(day time.Weekday, demand float64) {
	weight := s.profile[day]
	s.seen += weight
	s.level += math.Max(s.far[day], weight/s.seen) * (demand/weight - s.level)
}

func (s *ses) expect(day time.Weekday) float64 { return s.level * s.profile[day] }
func (s *ses) reset()                          { s.level, s.seen = 0, 0 }

// sba is Croston's method (1972): the size of a demand and the days from one to
// the next are smoothed apart, on days of demand alone, and the level is size /
// interval. That is too much by a factor of about 1 / (1 - alpha/2), which
// Syntetos and Boylan (2005) take back.
type sba struct {
	profile               Profile
	alpha                 float64
	size, interval, since float64
}

func newSBA(alpha float64, profile Profile) *sba { return &sba{profile: profile, alpha: alpha} }

func (s *sba) observe(day time.Weekday, demand float64) {
	s.since += s.profile[day]
	if demand <= 0 {
		return
	}
	if s.interval == 0 {
		s.size, s.interval = demand, s.since
	} else {
		s.size += s.alpha * (demand - s.size)
		s.interval += s.alpha * (s.since - s.interval)
	}
	s.since = 0
}

func (s *sba) expect(day time.Weekday) float64 {
	if s.interval == 0 {
		return 0
	}
	return (1 - s.alpha/2) * s.size / s.interval * s.profile[day]
}

func (s *sba) reset() { s.size, s.interval, s.since = 0, 0, 0 }

// tsb (Teunter, Syntetos and Babai 2011) smooths the size of a demand on days of
// demand, and the probability that there is one on every day: level = probability
// × size. Without demand it falls day by day, where Croston's method stands still.
type tsb struct {
	alpha, size float64
	probability *ses
}

// newTSB takes the smoothing constant of the size and that of the probability.
func newTSB(alpha, beta float64, profile Profile) *tsb {
	return &tsb{alpha: alpha, probability: newSES(beta, profile)}
}

func (t *tsb) observe(day time.Weekday, demand float64) {
	if demand <= 0 {
		t.probability.observe(day, 0)
		return
	}
	if t.size == 0 {
		t.size = demand
	} else {
		t.size += t.alpha * (demand - t.size)
	}
	t.probability.observe(day, 1)
}

func (t *tsb) expect(day time.Weekday) float64 { return t.probability.expect(day) * t.size }

func (t *tsb) reset() {
	t.size = 0
	t.probability.reset()
}

// seasonal smooths every weekday for itself: with a constant of 1 it is the
// seasonal naive method, each day as the same weekday of the last week. What is
// not known of a weekday yet is the mean of all days.
type seasonal struct {
	alpha       float64
	level, seen [7]float64
	sum, days   float64
}

func newSeasonal(alpha float64) *seasonal { return &seasonal{alpha: alpha} }

func (s *seasonal) observe(day time.Weekday, demand float64) {
	s.sum += demand
	s.days++
	s.seen[day]++
	s.level[day] += math.Max(s.alpha, 1/s.seen[day]) * (demand - s.level[day])
}

func (s *seasonal) expect(day time.Weekday) float64 {
	if s.seen[day] == 0 {
		return s.sum / s.days
	}
	return s.level[day]
}

func (s *seasonal) reset() { *s = seasonal{alpha: s.alpha} }
