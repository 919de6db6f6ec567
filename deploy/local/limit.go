package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/composerp/composerp/exchange/clock"
)

// # Servers of tests
//
// Tests of several packages run in several processes at once, and each may start servers. Servers that start at the
// same time share the cores, and with too many of them all miss their deadlines. So a process whose environment has
// LimitVariable, and each process it starts, takes slots before it starts servers: one for starting, until the servers
// answer, and one for each private broker, until the broker has ended.
//
// A slot is a file that a process holds by flock. What holds:
//   - No slot outlives its process. The kernel drops the lock when the process ends, however it ends; the programs that
//     it started do not inherit it. Servers of a process that was killed take some seconds to end: for as long, one
//     more may run than there are slots.
//   - No two processes hold the same slot: nothing deletes or replaces the files.
//   - No two processes wait for each other. Slots for running come before the one for starting, and a process that has
//     the latter waits for none. One process at a time gathers slots for running, the one that holds the slot for
//     gathering, so that two clusters never each hold half of what they need. A cluster of more nodes than there are
//     slots takes all. A test that runs private brokers starts no others before it has ended them.
//   - Waiting for a slot has no deadline but the caller's: Config.StartTimeout begins when the servers may start.
//
// Not counted among those that run: PostgreSQL, which is small, and a broker that all tests of a process share
// (Config.Shared), for it ends with the process, while tests of that process wait for slots. A server that starts again
// in its place keeps its slot and takes no other.

// LimitVariable names the directory of the slots. Without it nothing is limited.
const LimitVariable = "COMPOSERP_TEST_SLOTS"

// SlownessVariable says, in the environment of tests and of what they start, how many times as long as usual servers
// may take to start on this machine.
const SlownessVariable = "COMPOSERP_TEST_SLOWNESS"

// startTimeout is the usual two minutes, or up to ten times as many where SlownessVariable says so.
func startTimeout() time.Duration {
	const usual, most = 2 * time.Minute, 10
	slowness, err := strconv.ParseFloat(os.Getenv(SlownessVariable), 64)
	if err != nil || !(slowness > 1) {
		return usual
	}
	return time.Duration(min(slowness, most) * float64(usual))
}

// slotPoll is how often a slot is tried for.
const slotPoll = 50 * time.Millisecond

// slots are the files of a directory, and how many of each kind there are.
type slots struct {
	dir     string // empty: nothing is limited
	starts  int    // pairs and clusters that may be starting
	brokers int    // private brokers that may be running
}

// limits are those of this machine: a start takes all of a core for seconds, and a broker some of it for as long as it
// runs.
func limits() slots {
	return slots{dir: os.Getenv(LimitVariable), starts: max(2, runtime.NumCPU()/2), brokers: max(4, runtime.NumCPU())}
}

// claim is what a process holds.
type claim struct{ starting, running []*os.File }

// started gives the slot for starting to the next.
func (c *claim) started() { closeAll(&c.starting) }

// release gives everything back.
func (c *claim) release() {
	closeAll(&c.starting)
	closeAll(&c.running)
}

func closeAll(files *[]*os.File) {
	for _, file := range *files {
		file.Close()
	}
	*files = nil
}

// take waits for the slots of a start with that number of private brokers. It holds all of them when it returns, or
// none and an error.
func (s slots) take(ctx context.Context, brokers int) (*claim, error) {
	c := &claim{}
	if s.dir == "" {
		return c, nil
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	var err error
	if brokers > 0 {
		if c.running, err = s.takeRunning(ctx, min(brokers, s.brokers)); err != nil {
			return nil, err
		}
	}
	if c.starting, err = s.gather(ctx, "starting", 1, s.starts); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

// takeRunning gathers slots for running while it holds the slot for gathering.
func (s slots) takeRunning(ctx context.Context, brokers int) ([]*os.File, error) {
	gathering, err := s.gather(ctx, "gathering", 1, 1)
	if err != nil {
		return nil, err
	}
	defer closeAll(&gathering)
	return s.gather(ctx, "running", brokers, s.brokers)
}

// open makes the directory. Its name can be guessed and its parent is shared: only a real directory of our own
// will do.
func (s slots) open() error {
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("making the directory of the test servers' slots: %w", err)
	}
	info, err := os.Lstat(s.dir)
	if err != nil {
		return fmt.Errorf("looking at the test servers' slots: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || ok && stat.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("%s is no directory of this user: remove it, or set %s to another", s.dir, LimitVariable)
	}
	return nil
}

// gather waits until it holds want of the slots of a kind; of is the number of slots that the kind has.
func (s slots) gather(ctx context.Context, kind string, want, of int) (held []*os.File, err error) {
	for {
		for i := 1; i <= of && len(held) < want; i++ {
			file, err := s.try(kind, i)
			if err != nil {
				closeAll(&held)
				return nil, err
			}
			if file != nil {
				held = append(held, file)
			}
		}
		if len(held) == want {
			return held, nil
		}
		if !clock.Sleep(ctx, slotPoll) {
			closeAll(&held)
			return nil, fmt.Errorf("waiting for a slot to start servers, for other tests' servers hold all %d: %w", of, ctx.Err())
		}
	}
}

// try takes one slot; nil when another holds it, be it this process.
func (s slots) try(kind string, number int) (*os.File, error) {
	file, err := tryLock(filepath.Join(s.dir, fmt.Sprintf("%s-%d", kind, number)))
	if err != nil {
		return nil, fmt.Errorf("taking a slot for test servers: %w", err)
	}
	return file, nil
}
