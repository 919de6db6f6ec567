package screen

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/demo"
	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/stockview"
)

func aView() view {
	n := event.NewDecimal
	v := view{
		State: demo.State{
			Date: "2026-03-10", First: "2026-02-02", Day: 37, Days: 70, Running: 37400 * time.Millisecond,
			Today: demo.Tally{Sold: n(512), Returned: n(6), Received: n(240), Moved: n(48), Damaged: n(2), Wanted: n(515), Lost: n(3)},
			Total: demo.Tally{Sold: n(18250), Wanted: n(18400), Lost: n(150)},
			Calls: demo.Calls{All: 431, Confirmed: 420, Busy: 11},
		},
		Summary: stockview.TenantSummary{Low: 14, Out: 2, Watched: 180, Waiting: 3, Unsent: 1, Sent: 41, Received: 374, Rejected: 1},
		Queues:  []queueDepth{{"ledger", 120}, {"procurement.retry.5s", 2}, {"alert.dead", 1}},
		Rate:    1204.4, Rates: []float64{0, 300, 900, 1204, 600}, Events: 45210, Pace: "a day a second",
		Notes: []string{"a note of the program\x1b[2J with an escape in it"},
	}
	for i := range 30 {
		v.State.Notes = append(v.State.Notes, fmt.Sprintf("03-10  something happened, number %d", i))
	}
	return v
}

// The screen on terminals of several sizes.
func TestFrameGolden(t *testing.T) {
	t.Parallel()
	for name, size := range map[string][2]int{"wide": {120, 40}, "usual": {80, 24}, "small": {40, 10}} {
		got := strings.Join(aView().frame(size[0], size[1], false), "\n") + "\n"
		golden.Compare(t, filepath.Join("testdata", "demo_frame_"+name+".txt"), got)
	}
}

// On a terminal of any size the frame fits, with colours and without, and has no escape sequences but colours.
func TestFrameFits(t *testing.T) {
	t.Parallel()
	for width := range 130 {
		for height := range 45 {
			for _, colour := range []bool{false, true} {
				lines := aView().frame(width, height, colour)
				if len(lines) > height {
					t.Fatalf("%d lines on a terminal of %d", len(lines), height)
				}
				for _, l := range lines {
					if n := visible(l); n > width {
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

// Output that comes while the screen is drawn is written when the screen is left, and the terminal is restored.
func TestConsoleKeepsOutput(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := &Console{out: &out, terminal: 0}
	fmt.Fprintln(c, "before")
	c.enter()
	c.enter()
	fmt.Fprintln(c, "a warning")
	if got := c.notes(3); len(got) != 1 || got[0] != "a warning" {
		t.Errorf("it shows %q", got)
	}
	fmt.Fprint(c, strings.Repeat("much ", maxKept))
	c.Leave()
	c.Leave()
	fmt.Fprintln(c, "after")
	want := "before\n" + enterScreen + leaveScreen + "a warning\n"
	if got := out.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "after\n") || strings.Count(got, enterScreen) != 1 || strings.Count(got, leaveScreen) != 1 {
		t.Errorf("the terminal got %.200q", got)
	}
}

// A pipe has no screen.
func TestNoScreenInAPipe(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if c := NewConsole(&out, false); c.HasScreen() {
		t.Error("a screen in a pipe")
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := wording.Thousands(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}
