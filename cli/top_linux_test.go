package cli_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// live is `composerp top` on a terminal.
type live struct {
	*testing.T
	keys  *os.File
	wide  [2]uint16 // rows and columns
	out   *lines
	ended chan error
	cmd   *exec.Cmd
}

func (h *environment) top(env []string, args ...string) *live {
	h.Helper()
	path, err := program()
	if err != nil {
		h.Fatal(err)
	}
	keys, screen := terminal(h.T)
	l := &live{T: h.T, keys: keys, out: &lines{}, ended: make(chan error, 1), cmd: exec.CommandContext(h.Context(), path, append([]string{"top", "--interval", "200ms"}, args...)...)}
	l.size(80, 24)
	l.cmd.Dir, l.cmd.Env = h.dir, append(env, "TERM=xterm-256color")
	l.cmd.Stdin, l.cmd.Stdout, l.cmd.Stderr = screen, screen, screen
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := l.cmd.Start(); err != nil {
		h.Fatal(err)
	}
	go func() { l.ended <- l.cmd.Wait() }()
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := keys.Read(buffer)
			if err != nil {
				return
			}
			_, _ = l.out.Write(buffer[:n])
		}
	}()
	l.shows("stockview")
	return l
}

func (l *live) size(columns, rows uint16) {
	l.Helper()
	l.wide = [2]uint16{rows, columns}
	size := [4]uint16{rows, columns}
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, l.keys.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))); err != 0 {
		l.Fatal(err)
	}
}

// shows waits until a word has been drawn since the last call. A change of size has all be drawn anew: else only what
// differs is, which may be a part of the word.
func (l *live) shows(word string) {
	l.Helper()
	localtest.Eventually(l, time.Minute, "the screen shows "+word, func() bool {
		l.size(l.wide[1]^1, l.wide[0])
		return strings.Contains(l.out.String(), word)
	})
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	l.out.text.Reset()
}

func (l *live) typed(keys string) {
	l.Helper()
	if _, err := l.keys.WriteString(keys); err != nil {
		l.Fatal(err)
	}
}

// On a terminal a scale and a pause by keys take effect, with who and why in the operator log; the screen follows the
// terminal's size and leaves it as it was.
func TestTopScalesAndPausesByKeys(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.up()
	l := h.top(h.env, "--operator", "ann")
	l.typed("jjjjjjs3\rstock take\ry") // the seventh queue is the ledger
	h.until("the ledger has 3 slots", func() bool { r := h.scaled("ledger"); return r.Running != nil && *r.Running == 3 })
	l.typed("pcounting\ry")
	h.until("it is paused", func() bool { return h.scaled("ledger").Mode == "paused" })
	l.typed("rcounted\rn") // no
	l.size(140, 40)
	l.shows("UNACK")
	log := h.ok("log", "operator").out
	for _, want := range []string{"ann", "scale", "stock take", "pause", "counting"} {
		if !strings.Contains(log, want) {
			t.Errorf("the operator log has no %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "counted") {
		t.Errorf("the operator log has what was not confirmed:\n%s", log)
	}
	l.typed("q")
	if err := localtest.Receive(t, time.Minute, "top ends", l.ended); err != nil {
		t.Errorf("it ended with %v", err)
	}
	l.shows("\x1b[?1049l")
	if mode := h.scaled("ledger").Mode; mode != "paused" {
		t.Errorf("the ledger is %s", mode)
	}
}

// A database that goes away leaves the last picture with a line that says so, and the screen comes back by itself.
func TestTopOutlivesItsServers(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.up()
	line := workertest.NewLink(t, h.database)
	l := h.top(append(h.variables(), "COMPOSERP_DATABASE_URL="+line.URL))
	line.Break()
	l.shows("counted:")
	line.Restore()
	l.typed("jjjjjj")
	h.until("the ledger has 2 slots", func() bool {
		l.typed("s\x152\r\rdrill\ry") // once the database is back this takes effect
		r := h.scaled("ledger")
		return r.Running != nil && *r.Running == 2
	})
	l.typed("\x03")
	if err := localtest.Receive(t, time.Minute, "top ends", l.ended); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// Without a terminal a table is written at each interval, and JSON a line each.
func TestTopWithoutATerminal(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.up()
	if out := h.ok("top", "--once").out; strings.Count(out, "QUEUE") != 1 || !strings.Contains(out, "1 node, ") || !strings.Contains(out, "stockview") {
		t.Errorf("--once writes\n%s", out)
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	f := h.start(path, h.env, `"node"`, "top", "--interval", "100ms", "-o", "json")
	f.isUp(t)
	h.until("there are more lines", func() bool { return strings.Count(f.log.String(), "\n") >= 3 })
	f.stop(t)
	for _, line := range strings.SplitAfter(strings.TrimSpace(f.log.String()), "\n") {
		if !strings.HasPrefix(line, `{"at":"`) || !strings.Contains(line, `"queues":[{"worker":"ledger"`) {
			t.Errorf("a line is %.200s", line)
		}
	}
}
