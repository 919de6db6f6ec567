package measure

// Overall is the measures of many items together.
type Overall struct {
	// Items have a scale; Unscaled are those that were measured and have none.
	Items, Unscaled int
	Days            int
	Units           float64

	Forecast, Naive, Seasonal Together
}

// Together are the measures of one way to forecast over all items: bias over all
// days and units, MASE and RMSSE as the items' mean and as that weighted by units.
type Together struct {
	Bias, BiasPart              float64
	MASE, RMSSE                 float64
	WeightedMASE, WeightedRMSSE float64
}

// Adder adds up what was measured item by item.
type Adder struct {
	overall      Overall
	scaledUnits  float64
	errorsOfDays [3]float64
}

// Add takes an item's result. One without a day adds nothing.
func (a *Adder) Add(r Result) {
	if r.Days == 0 {
		return
	}
	o := &a.overall
	o.Days += r.Days
	o.Units += r.Units
	for i, e := range []Errors{r.Forecast, r.Naive, r.Seasonal} {
		a.errorsOfDays[i] += e.Bias * float64(r.Days)
		if !r.Scaled {
			continue
		}
		t := a.ways()[i]
		t.MASE += e.MASE
		t.RMSSE += e.RMSSE
		t.WeightedMASE += e.MASE * r.Units
		t.WeightedRMSSE += e.RMSSE * r.Units
	}
	if r.Scaled {
		o.Items++
		a.scaledUnits += r.Units
	} else {
		o.Unscaled++
	}
}

func (a *Adder) ways() [3]*Together {
	return [3]*Together{&a.overall.Forecast, &a.overall.Naive, &a.overall.Seasonal}
}

// Overall gives the measures of all that was added. What there is no number for,
// as there is none for the bias in parts of a demand of zero, is NaN.
func (a *Adder) Overall() Overall {
	of := Adder{overall: a.overall}
	for i, t := range of.ways() {
		t.Bias, t.BiasPart = a.errorsOfDays[i]/float64(a.overall.Days), a.errorsOfDays[i]/a.overall.Units
		t.MASE /= float64(a.overall.Items)
		t.RMSSE /= float64(a.overall.Items)
		t.WeightedMASE /= a.scaledUnits
		t.WeightedRMSSE /= a.scaledUnits
	}
	return of.overall
}
