package demo

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// basket is a customer's demand for one product.
type basket struct {
	at       time.Time
	product  int
	location int
	pieces   int64
}

// randomFor gives the random numbers of one subject on one day. They are the same for the same seed, whatever was drawn
// before.
func randomFor(seed uint64, date event.Date, about string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(date))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(about))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// baskets are the customers of a day in the order of their arrival.
func (s *Shop) baskets(date event.Date) []basket {
	day := date.Time()
	var all []basket
	for i := range products {
		for j := range locations {
			d := randomFor(s.seed, date, products[i].id+"@"+locations[j].id)
			for _, pieces := range products[i].draw(d, locations[j], day) {
				minutes := (locations[j].shut - locations[j].opens) * 60
				at := s.clock(day, locations[j].opens, d.IntN(minutes), d.IntN(60))
				all = append(all, basket{at, i, j, pieces})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b basket) int { return a.at.Compare(b.at) })
	return all
}

// draw draws how many pieces each customer of a day asks for.
func (p product) draw(d *rand.Rand, at location, day time.Time) []int64 {
	mean := p.mean(at) * at.weekdays[day.Weekday()] * p.season(day)
	if p.pattern == lumpy {
		most := 7
		if p.perDay < 0.4 {
			most = 3
		}
		// Customers come so seldom that the mean is right with the pieces that one takes.
		if d.Float64() < mean/(float64(most+1)/2) {
			return []int64{1 + int64(d.IntN(most))}
		}
		return nil
	}
	var baskets []int64
	for left := poisson(d, mean); left > 0; {
		pieces := int64(1)
		if d.IntN(3) == 0 {
			pieces += int64(d.IntN(3))
		}
		pieces = min(pieces, left)
		baskets = append(baskets, pieces)
		left -= pieces
	}
	return baskets
}

// A season has its peak at a day of the year and a width in days.
var seasons = map[string]struct{ peak, width float64 }{
	"COF-ADV-24D": {330, 12},
	"COF-ICE-033": {200, 55},
	"TEA-ICE-050": {200, 60},
	"CHO-EGG-180": {90, 10},
	"EST-LMB-300": {92, 6},
}

// offSeason is the share of a seasonal product's demand out of its season.
const offSeason = 0.05

// season is a product's demand on a day as a share of its peak.
func (p product) season(day time.Time) float64 {
	s, ok := seasons[p.id]
	if !ok {
		return 1
	}
	away := math.Abs(float64(day.YearDay()) - s.peak)
	away = min(away, 365-away) / s.width
	return offSeason + (1-offSeason)*math.Exp(-away*away/2)
}

// poisson draws by Knuth's method (The Art of Computer Programming 2, 3.4.1), in parts so that the exponential of a
// large mean does not underflow.
func poisson(d *rand.Rand, mean float64) (n int64) {
	const part = 30
	for ; mean > part; mean -= part {
		n += poisson(d, part)
	}
	for limit, p := math.Exp(-mean), d.Float64(); p > limit; p *= d.Float64() {
		n++
	}
	return n
}
