package deadletters

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/clock"
)

// Pace is how fast letters are redriven.
type Pace struct {
	// Steps are letters a second, step after step; the last one lasts. 0 means unlimited.
	Steps []int
	Step  time.Duration // how long a step takes
	// Timeout is how long outcomes are waited for after each step and at the end.
	Timeout time.Duration
}

// Careful begins with a letter a second, because the cause of the failures may not be repaired.
var Careful = Pace{Steps: []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}, Step: 5 * time.Second, Timeout: 10 * time.Second}

// Steady is rate letters a second from the beginning to the end; 0 means unlimited.
func Steady(rate int) Pace { return Pace{Steps: []int{rate}, Timeout: Careful.Timeout} }

// pacer lets letters go at a pace.
type pacer struct {
	Pace
	step  int
	gone  int       // letters of the step
	began time.Time // of the step; zero before its first letter
	next  time.Time // when the next letter is due
}

func (p *pacer) rate() int { return p.Steps[p.step] }

// climbs tells whether the step is over and another follows. However slow the machine is, a step lasts until the
// letters whose share of failures counts have gone: the next one is for those that follow letters that did not fail.
func (p *pacer) climbs() bool {
	return p.step < len(p.Steps)-1 && p.gone >= fewest && time.Since(p.began) >= p.Step
}

func (p *pacer) climb() { p.step, p.gone, p.began = p.step+1, 0, time.Time{} }

// burst is how much of a delay is made up for.
const burst = 100 * time.Millisecond

// allow waits until letters may go, and returns how many of most: those that are due together go together.
func (p *pacer) allow(ctx context.Context, most int) (int, error) {
	rate := p.rate()
	if rate == 0 {
		return most, ctx.Err()
	}
	now := time.Now()
	if p.began.IsZero() {
		p.began, p.next = now, now
	}
	if late := now.Add(-burst); p.next.Before(late) {
		p.next = late
	}
	if !clock.Sleep(ctx, p.next.Sub(now)) {
		return 0, ctx.Err()
	}
	each := time.Second / time.Duration(rate)
	n := min(1+int(time.Since(p.next)/each), most)
	p.next = p.next.Add(time.Duration(n) * each)
	p.gone += n
	return n, nil
}
