package screen

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/demo"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/stockview"
)

func updateGolden() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func aView() View {
	n := event.NewDecimal
	v := View{
		State: demo.State{
			Date: "2026-03-10", First: "2026-02-02", Day: 37, Days: 70, Running: 37400 * time.Millisecond,
			Today: demo.Tally{Sold: n(512), Returned: n(6), Received: n(240), Moved: n(48), Damaged: n(2), Wanted: n(515), Lost: n(3)},
			Total: demo.Tally{Sold: n(18250), Wanted: n(18400), Lost: n(150)},
			Calls: demo.Calls{All: 431, Confirmed: 420, Busy: 11},
		},
		Pulse:  stockview.TenantSummary{Low: 14, Out: 2, Watched: 180, Waiting: 3, Unsent: 1, Sent: 41, Received: 374, Rejected: 1},
		Queues: []Depth{{"ledger", 120}, {"procurement.retry.5s", 2}, {"alert.dead", 1}},
		Rate:   1204.4, Rates: []float64{0, 300, 900, 1204, 600}, Events: 45210, Pace: "a day a second",
		Notes: []string{"a note of the program\x1b[2J with an escape in it"},
	}
	for i := range 30 {
		v.State.Happened = append(v.State.Happened, fmt.Sprintf("03-10  something happened, number %d", i))
	}
	return v
}

// The screen on terminals of several sizes, as it is seen.
func TestFrameGolden(t *testing.T) {
	t.Parallel()
	for name, size := range map[string][2]int{"wide": {120, 40}, "usual": {80, 24}, "small": {40, 10}} {
		got := strings.Join(aView().Frame(size[0], size[1], false), "\n") + "\n"
		path := filepath.Join("testdata", "demo_frame_"+name+".txt")
		if updateGolden() {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: if that is meant, run the test with -update\n%s", path, got)
		}
	}
}

// Whatever the size of a terminal, nothing is longer or more than fits, with
// colours as without, and nothing but colours escapes.
func TestFrameFits(t *testing.T) {
	t.Parallel()
	for width := range 130 {
		for height := range 45 {
			for _, colour := range []bool{false, true} {
				lines := aView().Frame(width, height, colour)
				if len(lines) > height {
					t.Fatalf("%d lines on a terminal of %d", len(lines), height)
				}
				for _, l := range lines {
					if n := Visible(l); n > width {
						t.Fatalf("%d characters on a terminal of %d: %q", n, width, l)
					}
					if bare := strings.NewReplacer("\x1b[0m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[31;1m", "", "\x1b[32m", "").Replace(l); strings.Contains(bare, "\x1b") || !colour && bare != l {
						t.Fatalf("an escape in %q", l)
					}
				}
			}
		}
	}
}

// What is said while the screen is drawn comes out when it is gone, and the
// terminal is left as it was.
func TestConsoleKeepsWhatIsSaid(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := &Console{Out: &out, Terminal: 0}
	fmt.Fprintln(c, "before")
	c.Enter()
	c.Enter()
	fmt.Fprintln(c, "a warning")
	if got := c.Notes(3); len(got) != 1 || got[0] != "a warning" {
		t.Errorf("it shows %q", got)
	}
	fmt.Fprint(c, strings.Repeat("much ", MaxKept))
	c.Leave()
	c.Leave()
	fmt.Fprintln(c, "after")
	want := "before\n" + EnterScreen + LeaveScreen + "a warning\n"
	if got := out.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "after\n") || strings.Count(got, EnterScreen) != 1 || strings.Count(got, LeaveScreen) != 1 {
		t.Errorf("the terminal got %.200q", got)
	}
}

// No screen where nobody could see one.
func TestNoScreenInAPipe(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if c := NewConsole(&out, false); c.Terminal >= 0 {
		t.Error("a screen in a pipe")
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := Thousands(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}
