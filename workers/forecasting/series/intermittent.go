package series

// # Intermittent demand
//
// The smoothing constants are fixed, as in the papers: 0.1 of Croston's (Syntetos and Boylan 2005 try 0.05 to 0.2), 0.2
// of TSB's size and probability (Teunter, Syntetos and Babai try up to 0.3). The first size and interval are the means
// of the first demands, the first probability that of the first twelve steps.

const (
	sizeAlpha        = 0.1
	tsbAlpha         = 0.2
	probabilityAlpha = 0.2
	// firstDemands is how many demands the first size and interval are the means of.
	firstDemands = 4
)

// demands are the sizes of a series' demands, and the steps from each to the one before it.
func demands(y []float64) (sizes, intervals []float64) {
	since := 0.0
	for _, v := range y {
		since++
		if v > 0 {
			sizes, intervals = append(sizes, v), append(intervals, since)
			since = 0
		}
	}
	return sizes, intervals
}

func smoothed(v []float64, alpha float64) float64 {
	level := average(v[:min(len(v), firstDemands)])
	for _, x := range v {
		level += alpha * (x - level)
	}
	return level
}

// croston is size over interval, both smoothed at demands alone (Croston, Operational Research Quarterly 23, 1972).
func croston(y []float64, _, horizon int) []float64 {
	sizes, intervals := demands(y)
	if len(sizes) == 0 {
		return flat(0, horizon)
	}
	return flat(smoothed(sizes, sizeAlpha)/smoothed(intervals, sizeAlpha), horizon)
}

// sba is croston times 1 - α/2, which takes back most of its bias (Syntetos and Boylan, International Journal of
// Forecasting 21, 2005).
func sba(y []float64, period, horizon int) []float64 {
	f := croston(y, period, horizon)
	for i := range f {
		f[i] *= 1 - sizeAlpha/2
	}
	return f
}

// tsb is size times probability, the latter smoothed at every step (Teunter, Syntetos and Babai, European Journal of
// Operational Research 214, 2011): it forgets what is no longer bought.
func tsb(y []float64, _, horizon int) []float64 {
	sizes, _ := demands(y)
	if len(sizes) == 0 {
		return flat(0, horizon)
	}
	size, probability, start := average(sizes[:min(len(sizes), firstDemands)]), 0.0, min(len(y), lastOfMean)
	for _, v := range y[:start] {
		if v > 0 {
			probability += 1 / float64(start)
		}
	}
	for _, v := range y {
		if v > 0 {
			size += tsbAlpha * (v - size)
			probability += probabilityAlpha * (1 - probability)
		} else {
			probability -= probabilityAlpha * probability
		}
	}
	return flat(size*probability, horizon)
}
