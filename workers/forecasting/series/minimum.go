package series

import "math"

// lowest looks for the minimum of f between a and b: by a grid, and then by golden section beside its best point
// (Kiefer 1953). The order of its steps is fixed.
func lowest(f func(x float64) float64, a, b float64) float64 {
	const points, steps = 12, 14
	width := (b - a) / points
	best, bound := a, f(a)
	for i := 1; i <= points; i++ {
		x := a + float64(i)*width
		if v := f(x); v < bound {
			best, bound = x, v
		}
	}
	lo, hi := math.Max(a, best-width), math.Min(b, best+width)
	const ratio = 0.6180339887498949
	x1, x2 := hi-ratio*(hi-lo), lo+ratio*(hi-lo)
	f1, f2 := f(x1), f(x2)
	for range steps {
		if f1 < f2 {
			hi, x2, f2 = x2, x1, f1
			x1 = hi - ratio*(hi-lo)
			f1 = f(x1)
		} else {
			lo, x1, f1 = x1, x2, f2
			x2 = lo + ratio*(hi-lo)
			f2 = f(x2)
		}
	}
	if f1 < bound {
		best, bound = x1, f1
	}
	if f2 < bound {
		best = x2
	}
	return best
}

// search looks for the minimum of f within the unit cube, from a start, by Nelder and Mead's simplex (1965,
// doi 10.1093/comjnl/7.4.308), at most the given number of times that f is asked.
func search(f func(x []float64) float64, start []float64, most int) []float64 {
	n := len(start)
	type point struct {
		x []float64
		v float64
	}
	asked := 0
	at := func(x []float64) point {
		for i := range x {
			x[i] = math.Min(1, math.Max(0, x[i]))
		}
		asked++
		v := f(x)
		if math.IsNaN(v) {
			v = math.Inf(1)
		}
		return point{x, v}
	}
	simplex := make([]point, 0, n+1)
	simplex = append(simplex, at(append([]float64{}, start...)))
	for i := range n {
		x := append([]float64{}, start...)
		x[i] += 0.25
		if x[i] > 1 {
			x[i] = start[i] - 0.25
		}
		simplex = append(simplex, at(x))
	}
	for asked < most {
		for i := 1; i <= n; i++ { // a handful: sorted by insertion, stable
			for k := i; k > 0 && simplex[k].v < simplex[k-1].v; k-- {
				simplex[k], simplex[k-1] = simplex[k-1], simplex[k]
			}
		}
		if simplex[n].v-simplex[0].v <= 1e-7*math.Abs(simplex[0].v) {
			break
		}
		along := func(by float64) point {
			x := make([]float64, n)
			for i := range x {
				centre := 0.0
				for _, p := range simplex[:n] {
					centre += p.x[i]
				}
				centre /= float64(n)
				x[i] = centre + by*(simplex[n].x[i]-centre)
			}
			return at(x)
		}
		switch reflected := along(-1); {
		case reflected.v < simplex[0].v:
			if expanded := along(-2); expanded.v < reflected.v {
				simplex[n] = expanded
			} else {
				simplex[n] = reflected
			}
		case reflected.v < simplex[n-1].v:
			simplex[n] = reflected
		default:
			if contracted := along(0.5); contracted.v < simplex[n].v {
				simplex[n] = contracted
				continue
			}
			for k := 1; k <= n; k++ {
				x := make([]float64, n)
				for i := range x {
					x[i] = (simplex[0].x[i] + simplex[k].x[i]) / 2
				}
				simplex[k] = at(x)
			}
		}
	}
	best := simplex[0]
	for _, p := range simplex[1:] {
		if p.v < best.v {
			best = p
		}
	}
	return best.x
}
