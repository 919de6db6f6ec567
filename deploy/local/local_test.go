package local_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
)

// start starts both servers and discards them at the end of the test.
func start(t *testing.T, cfg local.Config) *local.Servers {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg.StartTimeout, cfg.StopTimeout = localtest.Deadline(2*time.Minute), localtest.Deadline(30*time.Second)
	servers, err := local.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servers.Discard(context.Background()) })
	return servers
}

// tempDir can be entered by the servers' users, which t.TempDir, below a directory of mode 0700, cannot be promised to
// be.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "composerp local ") // With a space: paths are quoted everywhere.
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestStartUseStopStartAgain(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	servers := start(t, local.Config{Dir: dir})
	first := servers.Endpoints
	writeRow(t, first.DatabaseURL)
	publishOne(t, first.AMQPURL)

	if _, err := local.Start(t.Context(), local.Config{Dir: dir}); !errors.Is(err, local.ErrInUse) {
		t.Errorf("a second start in the same directory: %v, want ErrInUse", err)
	}
	found, owner, err := local.Find(dir)
	if err != nil || found != first || owner != os.Getpid() {
		t.Errorf("Find = %v, %d, %v; want the addresses and our pid", found, owner, err)
	}
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNoProcess(t, dir)
	if _, _, err := local.Find(dir); !errors.Is(err, local.ErrNotRunning) {
		t.Errorf("Find after Stop: %v, want ErrNotRunning", err)
	}

	servers = start(t, local.Config{Dir: dir})
	if servers.Endpoints != first {
		t.Errorf("addresses changed over a restart: %v, before %v", servers.Endpoints, first)
	}
	wantRow(t, servers.DatabaseURL)
	wantMessage(t, servers.AMQPURL)
}

// TestKilled kills the owner with SIGKILL and starts again at once, and then does the same to the servers.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	owner := startOwner(t, dir)
	before, _, err := local.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	writeRow(t, before.DatabaseURL)
	publishOne(t, before.AMQPURL)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.Wait()
	servers := start(t, local.Config{Dir: dir})
	wantRow(t, servers.DatabaseURL)

	for _, server := range []local.Server{local.PostgreSQL, local.RabbitMQ} {
		if err := servers.Signal(server, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	localtest.Receive(t, 10*time.Second, "it is noticed that the servers were killed", servers.Exited())
	if err := servers.Err(); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("Err = %v, want the server that ended", err)
	}
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	servers = start(t, local.Config{Dir: dir})
	wantRow(t, servers.DatabaseURL)
	wantMessage(t, servers.AMQPURL)
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNoProcess(t, dir)
}

// TestServersEndWithTheirOwner kills the owner, so that no process is left to clear up.
func TestServersEndWithTheirOwner(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	owner := startOwner(t, dir)
	if len(processes(t, dir)) == 0 {
		t.Fatal("no process found while the servers run: the test would pass whatever happens")
	}
	owner.Process.Kill()
	owner.Wait()
	wantNoProcess(t, dir)
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	servers := start(t, local.Config{Dir: dir, PostgresOnly: true})
	address, _ := url.Parse(servers.DatabaseURL)
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp4", address.Host)
	if err != nil {
		t.Skip("another process took the port:", err)
	}
	defer taken.Close()
	servers = start(t, local.Config{Dir: dir, PostgresOnly: true})
	if again, _ := url.Parse(servers.DatabaseURL); again.Host == address.Host {
		t.Errorf("got %s, which is taken", again.Host)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	if err := os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	servers := start(t, local.Config{Dir: dir, PostgresOnly: true})
	if err := local.Remove(t.Context(), dir); !errors.Is(err, local.ErrInUse) {
		t.Errorf("removing under a running server: %v, want ErrInUse", err)
	}
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := local.Remove(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if name := entry.Name(); name != "theirs" && name != "servers.lock" {
			t.Errorf("%s is left", name)
		}
	}
}

// TestUnenterableDirectory has the directory below one that only its owner may enter, as a clone below /root is.
func TestUnenterableDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("the servers run as ourselves and enter what we enter")
	}
	closed := tempDir(t)
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "data")
	servers := start(t, local.Config{Dir: dir, PostgresOnly: true})
	writeRow(t, servers.DatabaseURL)
	target, err := os.Readlink(filepath.Join(dir, "postgres"))
	if err != nil {
		t.Fatal("no link stands for the data:", err)
	}
	if err := servers.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(target)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", filepath.Dir(target), err)
	}
}

// A directory may have any name that the file system takes. After a stop both servers find their data again, and
// nothing is left outside the directory in the end.
func TestAnyPath(t *testing.T) {
	t.Parallel()
	for name, below := range map[string]string{
		"Cyrillic and shell": `Магазин: it's "a" [b] {c} (d) & $HOME; #%s, \ ~ é`,
		"long":               strings.Repeat("long-", 48) + "/" + strings.Repeat("длинный", 17),
		"lines, no text":     "one\nline\tand \xff",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(tempDir(t), below)
			servers := start(t, local.Config{Dir: dir})
			writeRow(t, servers.DatabaseURL)
			publishOne(t, servers.AMQPURL)
			if err := servers.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			servers = start(t, local.Config{Dir: dir})
			wantRow(t, servers.DatabaseURL)
			wantMessage(t, servers.AMQPURL)
			if data, err := os.Lstat(filepath.Join(dir, "rabbitmq")); err != nil || !data.IsDir() {
				t.Errorf("the data is not in the directory: %v, %v", data, err)
			}
			before := outside(t, dir)
			if err := servers.Discard(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after := outside(t, dir); len(before) != 2 || len(after) != 0 {
				t.Errorf("links to the directory: %v, after its end %v; want two and none", before, after)
			}
		})
	}
}

// RabbitMQ does not find its queues under another path, and starts all the same.
func TestAMovedDirectory(t *testing.T) {
	t.Parallel()
	base := tempDir(t)
	here, there := filepath.Join(base, "here"), filepath.Join(base, "there")
	servers := start(t, local.Config{Dir: here})
	writeRow(t, servers.DatabaseURL)
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(here, there); err != nil {
		t.Fatal(err)
	}
	_, err := local.Start(t.Context(), local.Config{Dir: there})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(here, "rabbitmq")) || !strings.Contains(err.Error(), "move it back") {
		t.Fatalf("a moved directory: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(there, "rabbitmq")); err != nil {
		t.Fatal(err)
	}
	servers = start(t, local.Config{Dir: there})
	wantRow(t, servers.DatabaseURL)
	publishOne(t, servers.AMQPURL)
}

// outside finds the links in temporary directories that lead below dir.
func outside(t *testing.T, dir string) (found []string) {
	t.Helper()
	for _, temporary := range []string{"/var/tmp", os.TempDir()} {
		links, err := filepath.Glob(filepath.Join(temporary, "composerp-*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && filepath.Dir(target) == dir {
				found = append(found, link)
			}
		}
	}
	return found
}

func TestLostPasswords(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	servers := start(t, local.Config{Dir: dir, PostgresOnly: true})
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "servers.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Start(t.Context(), local.Config{Dir: dir, PostgresOnly: true}); err == nil || !strings.Contains(err.Error(), "remove the data") {
		t.Errorf("start on data whose passwords are lost: %v, want what to do", err)
	}
}

func TestPrivileges(t *testing.T) {
	t.Parallel()
	servers := start(t, local.Config{Dir: tempDir(t), PostgresOnly: true})
	db := open(t, servers.DatabaseURL)
	for _, statement := range []string{"SELECT system_identifier FROM pg_control_system()", "CREATE DATABASE another", "CREATE TABLE mine (id int)"} {
		if _, err := db.Exec(statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	wrong, _ := url.Parse(servers.DatabaseURL)
	wrong.User = url.UserPassword("composerp", "wrong")
	if err := open(t, wrong.String()).Ping(); err == nil {
		t.Error("a wrong password gets in")
	}
}
