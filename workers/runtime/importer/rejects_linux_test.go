package importer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// TestRejectsElsewhere imports from a directory that nothing can be written to: the rejects go to the current one.
// It works on the current directory, so it is not parallel; and as another user, because root may write anywhere.
func TestRejectsElsewhere(t *testing.T) {
	sealed := filepath.Join(t.TempDir(), "sealed")
	must(t, os.Mkdir(sealed, 0o555))
	here := filepath.Join(t.TempDir(), "here")
	must(t, os.Mkdir(here, 0o777))
	must(t, os.Chmod(here, 0o777)) //nolint:gosec // another user writes there
	for dir := filepath.Dir(here); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755)) //nolint:gosec // and to pass through there
	}
	t.Chdir(here)
	asUnprivileged(t, func() {
		r, err := openRejects("", filepath.Join(sealed, "till.csv"))
		if err != nil {
			t.Error(err)
			return
		}
		r.close()
		if want := filepath.Join(here, "till.csv.rejects.csv"); r.path != want {
			t.Errorf("the rejects go to %s, want %s", r.path, want)
		}
		if _, err := openRejects(filepath.Join(sealed, "mine.csv"), filepath.Join(sealed, "till.csv")); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a path that was named, where nothing can be written: %v", err)
		}
	})
}

// asUnprivileged runs do on a thread that looks at files as an unprivileged user. The thread ends with it.
func asUnprivileged(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked, so that no other goroutine gets this thread
		if os.Geteuid() == 0 {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
				t.Errorf("becoming unprivileged: %v", errno)
				return
			}
		}
		do()
	}()
	<-done
}
