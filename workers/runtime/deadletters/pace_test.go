package deadletters

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	p := pacer{Pace: Pace{Steps: []int{10, 0}, Step: 350 * time.Millisecond}}
	gone, began := 0, time.Now()
	for !p.climbs() {
		n, err := p.allow(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		gone += n
	}
	// One at once, and then one each tenth of a second; a machine that is held up may let a few go together.
	if took := time.Since(began); gone < 3 || gone > 2+int(took/(100*time.Millisecond)) {
		t.Errorf("%d went in %s at 10 a second", gone, took)
	}
	p.climb()
	if n, err := p.allow(t.Context(), 100); n != 100 || err != nil || p.climbs() {
		t.Errorf("as fast as they go, %d of 100 went, %v", n, err)
	}
	late := pacer{Pace: Pace{Steps: []int{10, 0}}} // its step is over before its first letter has gone
	for gone := 0; gone < fewest; gone++ {
		if late.climbs() {
			t.Errorf("it climbs after %d letters", gone)
		}
		if n, err := late.allow(t.Context(), 1); n != 1 || err != nil {
			t.Fatalf("%d of one letter went, %v", n, err)
		}
	}
	if !late.climbs() {
		t.Errorf("it does not climb after %d letters", fewest)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	slow := pacer{Pace: Steady(1)}
	_, _ = slow.allow(t.Context(), 1)
	if _, err := slow.allow(stopped, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped, it says %v", err)
	}
}
