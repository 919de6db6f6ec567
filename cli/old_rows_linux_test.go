package cli_test

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/composerp/composerp/store/storetest"
)

// terminal opens a pseudo-terminal: what is written to keys is typed at screen.
func terminal(t *testing.T) (keys, screen *os.File) {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	keys = open("/dev/ptmx")
	var locked, number uint32
	for request, at := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, keys.Fd(), request, uintptr(unsafe.Pointer(at))); err != 0 {
			t.Fatal(err)
		}
	}
	return keys, open("/dev/pts/" + strconv.Itoa(int(number)))
}

// On a terminal an import of old rows where rules order asks first, and only yes imports.
func TestOldRowsAreAskedAboutOnATerminal(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	h.orderingRule()
	mapping := h.file("map.yaml", oddMapping)
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		typed    string
		flags    []string
		asked    bool
		imported int
	}{
		{"\n", nil, true, 0},
		{"n\n", nil, true, 0},
		{"yesterday\n", nil, true, 0},
		{"\x04", nil, true, 0}, // end of input
		{" Yes \n", nil, true, 1},
		{"y\n", nil, true, 1},
		{"\n", []string{"--history"}, false, 1},
		{"\n", []string{"--history=false"}, false, 1},
	} {
		receipt := "R-" + strconv.Itoa(i)
		old := h.file("old-"+receipt+".csv", "Receipt,Sku,Qty,Amount,SoldAt\n"+receipt+",A,2,1.5,2020-02-09 12:00\n")
		keys, screen := terminal(t)
		if _, err := keys.WriteString(c.typed); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), path, append([]string{"import", old, "--map", mapping}, c.flags...)...)
		var errs bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = h.dir, h.env, screen, &errs
		_ = cmd.Run()
		code, said := cmd.ProcessState.ExitCode(), errs.String()
		if asked := strings.Contains(said, "Import them, and let rules order? [y/N] "); asked != c.asked {
			t.Errorf("%q: asked %v: %s", c.typed, asked, said)
		}
		n := storetest.Value[int](t, h.database, `SELECT count(*) FROM event_log WHERE aggregate_id = $1`, receipt)
		if n != c.imported || (code == 0) != (c.imported == 1) || strings.Contains(said, "nothing was imported") != (c.imported == 0) {
			t.Errorf("%q: exit %d, %d events: %s", c.typed, code, n, said)
		}
	}
}
