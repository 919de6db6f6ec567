package forecasting

import "testing"

// Demand of a day is a sum and may be more than an event carries: a forecast of it is still one.
func TestAForecastThatAnEventCarries(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{0: "0", 2.5: "2.5", 1e12: "1000000000000", 3e15: "1000000000000"} {
		got, err := rounded(x).MarshalJSON()
		if err != nil || string(got) != want {
			t.Errorf("%v is forecast as %s (%v), want %s", x, got, err, want)
		}
	}
}
