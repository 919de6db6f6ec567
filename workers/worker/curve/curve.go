// Package curve fits what a batch of messages takes to the batches of a worker.
package curve

// Curve is what a worker's batches took: it fits T(n) = a + b·n, the seconds of a
// batch of n messages, by least squares over weighted sums; older batches
// have less weight. The zero value has seen no batch.
//
// Sums of several nodes and of several times add up: the curve of a worker is
// that of all its batches.
type Curve struct {
	Weight  float64 `json:"weight"`  // Σ w
	Size    float64 `json:"size"`    // Σ w·n
	SizeSq  float64 `json:"sizeSq"`  // Σ w·n²
	Seconds float64 `json:"seconds"` // Σ w·T
	Product float64 `json:"product"` // Σ w·n·T
}

// Add counts a batch of n messages that took a number of seconds.
func (c *Curve) Add(n int, seconds float64) {
	size := float64(n)
	c.Weight++
	c.Size += size
	c.SizeSq += size * size
	c.Seconds += seconds
	c.Product += size * seconds
}

// Scale multiplies the weight of what was added so far: 0.5 halves it.
func (c *Curve) Scale(factor float64) {
	c.Weight *= factor
	c.Size *= factor
	c.SizeSq *= factor
	c.Seconds *= factor
	c.Product *= factor
}

// Merge adds the batches of another curve.
func (c *Curve) Merge(other Curve) {
	c.Weight += other.Weight
	c.Size += other.Size
	c.SizeSq += other.SizeSq
	c.Seconds += other.Seconds
	c.Product += other.Product
}

// leastSpread is the least coefficient of variation of batch sizes from which a
// slope is believed: below it, sizes are as good as equal, and noise would be the fit.
const leastSpread = 0.1

// Fit is a + b·n: the fixed seconds of a batch, and the seconds of each message. Where
// all batches were of one size, nothing is known of the fixed part: a is 0, and
// b a message's share of the mean batch, which promises least of larger batches. It
// reports false when there was no batch.
func (c Curve) Fit() (a, b float64, known bool) {
	if c.Weight <= 0 || c.Size <= 0 || c.Seconds <= 0 {
		return 0, 0, false
	}
	mean := c.Size / c.Weight
	variance := c.SizeSq/c.Weight - mean*mean
	share := c.Seconds / c.Size
	if variance <= leastSpread*leastSpread*mean*mean {
		return 0, share, true
	}
	b = (c.Product/c.Weight - mean*c.Seconds/c.Weight) / variance
	a = c.Seconds/c.Weight - b*mean
	if a < 0 { // a line through the origin
		return 0, c.Product / c.SizeSq, true
	}
	// A message takes some time, however the noise falls: a hundredth of its share.
	if least := share / 100; b < least {
		return c.Seconds/c.Weight - least*mean, least, true
	}
	return a, b, true
}

// Rate is the messages a second of one slot in batches of n. It is 0 when no batch is known.
func (c Curve) Rate(n int) float64 {
	a, b, known := c.Fit()
	if !known {
		return 0
	}
	return float64(n) / (a + b*float64(n))
}
