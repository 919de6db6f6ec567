package curve_test

import (
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/composerp/composerp/workers/worker/curve"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9+0.02*math.Abs(b) }

// The fit finds the line that batches were drawn from, whatever their sizes.
func TestCurveFindsTheLine(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		fixed, each := random.Float64()/10, 0.0001+random.Float64()/100
		var c Curve
		for range 5000 {
			n := 1 + random.IntN(200)
			c.Add(n, (fixed+each*float64(n))*(0.95+random.Float64()/10))
		}
		a, b, known := c.Fit()
		if !known || math.Abs(a-fixed) > 0.02*(fixed+100*each) || !near(b, each) && math.Abs(b-each) > 0.03*(fixed/100+each) {
			t.Fatalf("want %g + %g n, got %g + %g n", fixed, each, a, b)
		}
		if rate := c.Rate(200); !near(rate, 200/(fixed+200*each)) {
			t.Fatalf("the rate of full batches is %g, got %g", 200/(fixed+200*each), rate)
		}
	}
}

// Where a line is not to be had, the rate is one that can be reached.
func TestCurveOfFewSizes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		batches [][2]float64 // size, seconds
		a, b    float64
		known   bool
	}{
		{"no batch", nil, 0, 0, false},
		{"single messages", [][2]float64{{1, 0.01}, {1, 0.03}}, 0, 0.02, true},
		{"one size", [][2]float64{{200, 0.1}, {200, 0.1}}, 0, 0.0005, true},
		{"larger batches that took less", [][2]float64{{1, 0.2}, {100, 0.1}}, 0.3/2 - 50.5*0.3/101/100, 0.3 / 101 / 100, true},
		{"a line below the origin", [][2]float64{{10, 0.01}, {20, 0.04}}, 0, (10*0.01 + 20*0.04) / (100 + 400), true},
	} {
		var curve Curve
		for _, batch := range c.batches {
			curve.Add(int(batch[0]), batch[1])
		}
		if a, b, known := curve.Fit(); known != c.known || !near(a, c.a) || !near(b, c.b) {
			t.Errorf("%s: want %g + %g n (%t), got %g + %g n (%t)", c.name, c.a, c.b, c.known, a, b, known)
		}
	}
}

// Sums of nodes add up, and what is older has less weight.
func TestCurvesMergeAndFade(t *testing.T) {
	t.Parallel()
	var one, other, both Curve
	for n := 1; n <= 50; n++ {
		one.Add(n, 0.1+0.001*float64(n))
		other.Add(3*n, 0.1+0.003*float64(n))
		both.Add(n, 0.1+0.001*float64(n))
		both.Add(3*n, 0.1+0.003*float64(n))
	}
	one.Merge(other)
	if one.Rate(100) != both.Rate(100) {
		t.Errorf("merged %g, together %g", one.Rate(100), both.Rate(100))
	}
	one.Scale(1e-6)
	for n := 1; n <= 50; n++ {
		one.Add(n, 0.2+0.002*float64(n))
	}
	if want := 100 / 0.4; !near(one.Rate(100), want) {
		t.Errorf("the newer curve is %g a second, got %g", want, one.Rate(100))
	}
}
