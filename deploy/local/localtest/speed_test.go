package localtest

import (
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
)

func TestSlownessIsWithinBounds(t *testing.T) {
	t.Parallel()
	for measured, want := range map[float64]float64{0.3: 1, 1: 1, 2.5: 2.5, 10: 10, 70: 10, math.Inf(1): 10, math.NaN(): 10} {
		if got := withinBounds(measured); got != want {
			t.Errorf("%v becomes %v, want %v", measured, got, want)
		}
	}
	if slow := Slowness(); slow < 1 || slow > most {
		t.Errorf("this machine's slowness is %v", slow)
	}
	if got, want := Deadline(time.Minute), time.Duration(float64(time.Minute)*Slowness()); got != want {
		t.Errorf("a minute becomes %s, want %s", got, want)
	}
}

// TestABusyMachineIsSlow keeps all cores busy, so that there is no machine on which the work is done in its nominal
// time.
func TestABusyMachineIsSlow(t *testing.T) {
	var done atomic.Bool
	defer done.Store(true)
	for range 4 * runtime.GOMAXPROCS(0) {
		go func() {
			for !done.Load() {
				work()
			}
		}()
	}
	if slow := measure(); slow < 1.5 {
		t.Errorf("with four loops a core the slowness is %.2f", slow)
	}
}

func TestWhoWasTooSlow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		before, now float64
		want        string
	}{
		{1, 1, "the product was too slow: waited 20s (20s x 1.0, as this machine ran at 100 % of its nominal speed; now it runs at 100 %) in vain until it is over"},
		{2, 1, "the product was too slow: waited 40s (20s x 2.0, as this machine ran at 50 % of its nominal speed; now it runs at 100 %) in vain until it is over"},
		{2, 4, "the machine was too slow: waited 40s (20s x 2.0, as this machine ran at 50 % of its nominal speed; now it runs at 25 %) in vain until it is over"},
		{10, 12, "the machine was too slow: waited 3m20s (20s x 10.0, as this machine ran at 10 % of its nominal speed; now it runs at 8 %) in vain until it is over"},
	} {
		if got := late(20*time.Second, "it is over", test.before, test.now); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

// plantedHang makes TestAsATestThatHangs wait for what never comes, in the way it names.
const plantedHang = "COMPOSERP_LOCALTEST_HANG"

// TestAPlantedHangFails has another test process wait in vain, on a machine said to be as slow as any.
func TestAPlantedHangFails(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"holds", "receive", "context"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			other := exec.Command(os.Args[0], "-test.run=^TestAsATestThatHangs$", "-test.count=1")
			other.Env = append(os.Environ(), plantedHang+"="+way, local.SlownessVariable+"=1000")
			began := time.Now()
			out, err := other.CombinedOutput()
			if err == nil {
				t.Errorf("a test that hangs has passed:\n%s", out)
			}
			if took := time.Since(began); took < time.Second {
				t.Errorf("it was given %s, want ten times 100 ms at least", took)
			}
			if !strings.Contains(string(out), "was too slow: waited 1s (100ms x 10.0") {
				t.Errorf("it says\n%s", out)
			}
		})
	}
}

// TestAsATestThatHangs is no test of its own: it is what TestAPlantedHangFails runs.
func TestAsATestThatHangs(t *testing.T) {
	const d = 100 * time.Millisecond
	switch os.Getenv(plantedHang) {
	case "holds":
		Eventually(t, d, "it holds", func() bool { return false })
	case "receive":
		Receive(t, d, "something comes", make(chan int))
	case "context":
		<-Context(t, d).Done()
		t.Fatal(Late(d, "it is done"))
	default:
		t.Skip("runs only as another process")
	}
}

func TestEventuallyAsksOnceMoreAfterAStandstill(t *testing.T) {
	t.Parallel()
	const d = 100 * time.Millisecond
	asked := 0
	Eventually(t, d, "it holds when it is asked again", func() bool {
		asked++
		time.Sleep(Deadline(d)) // As a process that stood still.
		return asked == 2
	})
	if got := Receive(t, time.Minute, "a value", func() <-chan int { c := make(chan int, 1); c <- 7; return c }()); got != 7 {
		t.Errorf("received %d", got)
	}
}
