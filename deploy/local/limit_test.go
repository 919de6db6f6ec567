package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slotsFor are the slots of a test alone.
func slotsFor(t *testing.T, starts, brokers int) slots {
	t.Helper()
	return slots{dir: filepath.Join(t.TempDir(), "slots"), starts: starts, brokers: brokers}
}

// takeNow takes slots that must be free.
func takeNow(t *testing.T, s slots, brokers int) *claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := s.take(ctx, brokers)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantNone expects that a start of that number of brokers has to wait.
func wantNone(t *testing.T, s slots, brokers int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*slotPoll)
	defer cancel()
	if c, err := s.take(ctx, brokers); !errors.Is(err, context.DeadlineExceeded) {
		c.release()
		t.Errorf("slots for %d brokers although all are taken: %v", brokers, err)
	}
}

// TestSlotsBoundWhatRuns has many start pairs and clusters at once: none waits for ever, and never do more start or
// run than there are slots.
func TestSlotsBoundWhatRuns(t *testing.T) {
	t.Parallel()
	s := slotsFor(t, 2, 4)
	var starting, running atomic.Int64
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			brokers := i % 4
			c := takeNow(t, s, brokers)
			defer c.release()
			if n := starting.Add(1); n > 2 {
				t.Errorf("%d start at once", n)
			}
			if n := running.Add(int64(brokers)); n > 4 {
				t.Errorf("%d brokers run at once", n)
			}
			time.Sleep(rand.N(20 * time.Millisecond))
			starting.Add(-1)
			c.started()
			time.Sleep(rand.N(20 * time.Millisecond))
			running.Add(-int64(brokers))
		})
	}
	all.Wait()
}

func TestSlotsAreGivenBack(t *testing.T) {
	t.Parallel()
	s := slotsFor(t, 1, 3)
	cluster := takeNow(t, s, 5) // More nodes than slots.
	wantNone(t, s, 0)
	cluster.started()
	takeNow(t, s, 0).started() // Of PostgreSQL alone none run.
	wantNone(t, s, 1)
	cluster.release()
	one := takeNow(t, s, 1)
	one.started()
	wantNone(t, s, 3) // Holds two of three while it waits, and none when it has given up.
	takeNow(t, s, 2).release()
	one.release()
	takeNow(t, s, 3).release()
	if c, err := (slots{starts: 1, brokers: 1}).take(t.Context(), 9); err != nil || len(c.running)+len(c.starting) != 0 {
		t.Errorf("without a directory: %v, %v; want no limit", c, err)
	}
}

func TestSlotsInADirectoryThatIsNotOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := slots{dir: filepath.Join(dir, "link"), starts: 1, brokers: 1}
	if err := os.Symlink(t.TempDir(), s.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.take(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("slots behind a link: %v, want what to do", err)
	}
}

func TestStartTimeoutOfASlowMachine(t *testing.T) {
	for told, want := range map[string]time.Duration{
		"": 2 * time.Minute, "x": 2 * time.Minute, "0.1": 2 * time.Minute, "NaN": 2 * time.Minute, "1.5": 3 * time.Minute, "70": 20 * time.Minute,
	} {
		t.Setenv(SlownessVariable, told)
		if got := (Config{}).withDefaults().StartTimeout; got != want {
			t.Errorf("%q: %s, want %s", told, got, want)
		}
	}
	if got := (Config{StartTimeout: time.Second}).withDefaults().StartTimeout; got != time.Second {
		t.Errorf("a timeout that was given becomes %s", got)
	}
}

const slotsDir = "COMPOSERP_LOCAL_TEST_SLOTS_DIR"

// TestSlotsOfAProcessThatDies kills a process that holds all slots, and has a child that lives on.
func TestSlotsOfAProcessThatDies(t *testing.T) {
	t.Parallel()
	s := slotsFor(t, 1, 2)
	other := exec.Command(os.Args[0], "-test.run=^TestAsAHolderOfSlots$", "-test.count=1")
	other.Env = append(os.Environ(), slotsDir+"="+s.dir)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Fscanf(out, "held beside %d\n", &child); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if process, err := os.FindProcess(child); err == nil {
			process.Kill()
		}
	}()
	wantNone(t, s, 1)
	wantNone(t, s, 0)
	other.Process.Kill()
	other.Wait()
	takeNow(t, s, 2).release()
}

// TestAsAHolderOfSlots is no test of its own: it is what TestSlotsOfAProcessThatDies runs.
func TestAsAHolderOfSlots(t *testing.T) {
	dir := os.Getenv(slotsDir)
	if dir == "" {
		t.Skip("runs only as another process")
	}
	defer takeNow(t, slots{dir: dir, starts: 1, brokers: 2}, 2).release()
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("held beside %d\n", child.Process.Pid)
	_ = child.Wait() // a bare select would be a deadlock to the runtime, which ends the process
}
