package demo

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/event"
)

// The customers' demand follows from the seed alone. A change of it changes every demo, and shows here.
func TestBasketsGolden(t *testing.T) {
	t.Parallel()
	shop := newShop(t, 1)
	pieces, baskets := map[string]int64{}, map[string]int{}
	date := event.Date(opening)
	for range 70 {
		for _, w := range shop.baskets(date) {
			key := products[w.product].id + " " + locations[w.location].id
			pieces[key] += w.pieces
			baskets[key]++
		}
		date = date.AddDays(1)
	}
	var text strings.Builder
	for _, p := range products {
		for _, l := range locations {
			key := p.id + " " + l.id
			fmt.Fprintf(&text, "%s %d pieces in %d baskets\n", key, pieces[key], baskets[key])
		}
	}
	golden.Compare(t, filepath.Join("testdata", "baskets.txt"), text.String())
}

// A day's demand is the same whether or not other days were drawn before.
func TestBasketsOfADayAreIndependent(t *testing.T) {
	t.Parallel()
	one, other := newShop(t, 7), newShop(t, 7)
	one.baskets(opening)
	if a, b := text(one, "2026-03-01"), text(other, "2026-03-01"); a != b {
		t.Error("a day differs when other days were drawn before")
	}
	if a, b := text(one, "2026-03-01"), text(newShop(t, 8), "2026-03-01"); a == b {
		t.Error("two seeds give the same day")
	}
}

func text(shop *Shop, date event.Date) string {
	var b strings.Builder
	for _, w := range shop.baskets(date) {
		fmt.Fprintln(&b, w.at.UTC(), w.product, w.location, w.pieces)
	}
	return b.String()
}

// Each demand pattern shows: fast products sell nearly every day, lumpy ones seldom and several at once, and a season
// has its peak.
func TestDemandPatterns(t *testing.T) {
	t.Parallel()
	shop := newShop(t, 3)
	const days = 365
	date := event.Date(opening)
	perDay := make([][]int64, len(products))
	for range days {
		sums := make([]int64, len(products))
		for _, w := range shop.baskets(date) {
			sums[w.product] += w.pieces
		}
		for i, n := range sums {
			perDay[i] = append(perDay[i], n)
		}
		date = date.AddDays(1)
	}
	for i, p := range products {
		total, idle, most := int64(0), 0, int64(0)
		for _, n := range perDay[i] {
			total, most = total+n, max(most, n)
			if n == 0 {
				idle++
			}
		}
		mean := float64(total) / days
		if p.pattern != seasonal && math.Abs(mean-p.perDay) > 0.15*p.perDay+4*math.Sqrt(4*p.perDay/days) {
			t.Errorf("%s is asked for %.2f times a day, want about %.2f", p.id, mean, p.perDay)
		}
		if p.pattern == fast && idle > days/20 || p.pattern == lumpy && idle < days/2 {
			t.Errorf("%s has %d idle days of %d", p.id, idle, days)
		}
		if p.pattern == seasonal && float64(most) < 3*mean {
			t.Errorf("%s has no season: %d at most, %.2f on average", p.id, most, mean)
		}
	}
}

func newShop(t *testing.T, seed uint64) *Shop {
	t.Helper()
	shop, err := NewShop(seed)
	if err != nil {
		t.Fatal(err)
	}
	return shop
}
