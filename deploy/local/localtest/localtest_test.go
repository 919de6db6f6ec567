package localtest_test

import (
	"bufio"
	"database/sql"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"github.com/composerp/composerp/deploy/local/localtest"
)

// howToEnd makes TestAsAnotherProcess end its process in the way it names.
const howToEnd = "COMPOSERP_LOCALTEST_END"

// TestNothingIsLeft has another test process start private servers and end, in each of the ways a test process may.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"pass", "exit", "panic", "kill", "early"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			temp, err := os.MkdirTemp("", "composerp-left-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(temp) })
			if err := os.Chmod(temp, 0o755); err != nil {
				t.Fatal(err)
			}
			other := exec.Command(os.Args[0], "-test.run=^TestAsAnotherProcess$", "-test.count=1")
			other.Env = append(os.Environ(), howToEnd+"="+end, "TMPDIR="+temp, localtest.DatabaseVariable+"=")
			out, err := other.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			goOn, err := other.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			line, _ := bufio.NewReader(out).ReadString('\n')
			address, err := url.Parse(strings.TrimSpace(line))
			if err != nil || address.Host == "" {
				t.Fatalf("the other process said %q", line)
			}
			if left, _ := os.ReadDir(temp); len(left) == 0 {
				t.Fatal("the servers' directory is not where this test looks: it would pass whatever happens")
			}
			goOn.Close()
			if end == "kill" {
				other.Process.Signal(syscall.SIGKILL)
			}
			other.Wait()
			wantNothing(t, temp, address.Host)
		})
	}
}

// TestAsAnotherProcess is no test of its own: it is what TestNothingIsLeft runs.
func TestAsAnotherProcess(t *testing.T) {
	end := os.Getenv(howToEnd)
	if end == "" {
		t.Skip("runs only as another process")
	}
	if end == "early" {
		endDuringStart(t)
	}
	os.Stdout.WriteString(localtest.Database(t) + "\n")
	awaitParent()
	switch end {
	case "exit":
		os.Exit(3)
	case "panic":
		go panic("on purpose")
		select {}
	case "kill":
		select {}
	}
}

// awaitParent returns when the parent has looked at the servers' directory and closes the standard input.
func awaitParent() { _, _ = io.Copy(io.Discard, os.Stdin) }

// endDuringStart ends the process while its supervisor is busy starting a server, so that no process reads what the
// supervisor answers.
func endDuringStart(t *testing.T) {
	go localtest.Database(t)
	for {
		if begun, _ := filepath.Glob(filepath.Join(os.TempDir(), "*", "servers.json")); len(begun) > 0 {
			os.Stdout.WriteString("postgres://none@127.0.0.1:1/none\n")
			awaitParent()
			os.Exit(3)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestDatabaseIsShared(t *testing.T) {
	t.Parallel()
	first := localtest.Database(t)
	if second := localtest.Database(t); first != second {
		t.Errorf("two servers for one test binary: %s and %s", first, second)
	}
	db, err := sql.Open("postgres", first)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err != nil {
		t.Error(err)
	}
}

func wantNothing(t *testing.T, temp, host string) {
	t.Helper()
	var left []os.DirEntry
	var dialed error
	gone := localtest.Await(20*time.Second, func() bool {
		left, _ = os.ReadDir(temp)
		var conn net.Conn
		if conn, dialed = net.Dial("tcp", host); dialed == nil {
			conn.Close()
		}
		return dialed != nil && len(left) == 0
	})
	if !gone {
		t.Errorf("%s: left in the temporary directory: %v; connecting to the server: %v", localtest.Late(20*time.Second, "nothing is left"), left, dialed)
	}
}
