package delay_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/delay"
)

var began = time.UnixMicro(1_795_800_000_000_000)

// after is a moment so long after the beginning.
func after(d time.Duration) time.Time { return began.Add(d) }

func TestStagesAddUp(t *testing.T) {
	t.Parallel()
	for range 1000 {
		times, now := delay.Since(began), began
		for range 20 {
			stage, spent := delay.Stage(rand.IntN(delay.Stages)), time.Duration(rand.IntN(5_000_000))*time.Microsecond
			now = now.Add(spent)
			times.Until(stage, now)
			if rand.IntN(3) == 0 {
				times.Move(stage, delay.Locks, time.Duration(rand.IntN(5_000_000))*time.Microsecond)
			}
			read, known := delay.Parse(times.String())
			if !known || read != times {
				t.Fatalf("%q is read as %q", times, read)
			}
		}
		if total := times.Total(); total != now.Sub(began) {
			t.Fatalf("%s of %s add up to %s", times, now.Sub(began), total)
		}
	}
}

func TestAMessageLeavesARetryQueueEarly(t *testing.T) {
	t.Parallel()
	times := delay.Since(began)
	times.Until(delay.Handling, after(time.Second))
	times.Wait(delay.Retry, 15*time.Minute)
	times.Until(delay.Queue, after(3*time.Second))
	if times.In(delay.Retry) != 2*time.Second || times.In(delay.Queue) != 0 || times.Total() != 3*time.Second {
		t.Errorf("want two seconds in the retry queue, got %s", times)
	}
}

func TestAClockThatIsBehindMakesNoNegativeStage(t *testing.T) {
	t.Parallel()
	times := delay.Since(began)
	times.Until(delay.Relay, after(time.Second))
	times.Until(delay.Queue, after(900*time.Millisecond))
	times.Until(delay.Buffer, after(950*time.Millisecond))
	times.Until(delay.Handling, after(2*time.Second))
	if times.In(delay.Queue) != 0 || times.In(delay.Handling) != time.Second || times.Total() != 2*time.Second {
		t.Errorf("want no time in the queue and two seconds in all, got %s", times)
	}
}

func TestHeadersThatAreNoTimes(t *testing.T) {
	t.Parallel()
	for _, header := range []any{nil, 7, true, "", " ", "x", "-1", "0", "0 1", "1 -1", "1 x", "1 1.5", "99999999999999999999", "1 9223372036854775807", "1 0 0 0 0 0 0 0 0 0 0 0 1"} {
		if times, known := delay.Parse(header); known || times.Known() {
			t.Errorf("%v is read as %s", header, times)
		}
	}
}

// Whatever a header says, its times are read and written the same, and no stage of them is negative.
func FuzzTimes(f *testing.F) {
	for _, header := range []string{"1795800000000000 12 34", "1 0 0 7", "1 9007199254740991", "0", "x y"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		times, known := delay.Parse(header)
		if !known {
			return
		}
		times.Until(delay.Queue, began)
		times.Until(delay.Handling, after(time.Second))
		for s := range delay.Stages {
			if times.In(delay.Stage(s)) < 0 {
				t.Errorf("%q gives %s", header, times)
			}
		}
		if again, known := delay.Parse(times.String()); known && again != times {
			t.Errorf("%s is read as %s", times, again)
		}
	})
}
