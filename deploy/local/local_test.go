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
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRefusedElsewhere(t, dir)
}

// wantRefusedElsewhere moves the directory of stopped servers. RabbitMQ does not find its queues under another path,
// and starts all the same.
func wantRefusedElsewhere(t *testing.T, here string) {
	t.Helper()
	there := filepath.Join(tempDir(t), "there")
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
	servers := start(t, local.Config{Dir: there})
	wantRow(t, servers.DatabaseURL)
	publishOne(t, servers.AMQPURL)
}

// TestKilled kills the owner with SIGKILL and starts again at once, and then does the same to the servers. In the end
// it kills an owner so that no process is left to clear up: the servers end with it.
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
	owner = startOwner(t, dir)
	again, _, err := local.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	wantRow(t, again.DatabaseURL)
	wantMessage(t, again.AMQPURL)
	if len(processes(t, dir)) == 0 {
		t.Fatal("no process found while the servers run: the test would pass whatever happens")
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.Wait()
	wantNoProcess(t, dir)
}

// TestADatabaseAlone walks through what needs one server: what its role may do, what is refused while it runs and once
// it is stopped, a port that is taken, passwords that are lost, and the removal.
func TestADatabaseAlone(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	if err := os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	servers := start(t, local.Config{Dir: dir, PostgresOnly: true})
	address, _ := url.Parse(servers.DatabaseURL)
	wantPrivileges(t, servers.DatabaseURL)
	if err := local.Remove(t.Context(), dir); !errors.Is(err, local.ErrInUse) {
		t.Errorf("removing under a running server: %v, want ErrInUse", err)
	}
	wantLeftOut(t, servers, dir)

	taken, err := net.Listen("tcp4", address.Host)
	if err != nil {
		t.Skip("another process took the port:", err)
	}
	defer taken.Close()
	servers = start(t, local.Config{Dir: dir, PostgresOnly: true})
	if again, _ := url.Parse(servers.DatabaseURL); again.Host == address.Host {
		t.Errorf("got %s, which is taken", again.Host)
	}
	if err := servers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "servers.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Start(t.Context(), local.Config{Dir: dir, PostgresOnly: true}); err == nil || !strings.Contains(err.Error(), "remove the data") {
		t.Errorf("start on data whose passwords are lost: %v, want what to do", err)
	}
	wantRemoved(t, dir)
}

// wantRemoved removes the servers' files, and nothing else of the directory.
func wantRemoved(t *testing.T, dir string) {
	t.Helper()
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
	if _, err := os.Stat(filepath.Join(dir, "theirs")); err != nil {
		t.Errorf("a file of others is gone: %v", err)
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
// nothing is left outside the directory in the end. Every server that lies below an odd name gets a plain link: what
// two servers show of one name, a database alone shows of the others.
func TestAnyPath(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		below string
		alone bool
	}{
		"Cyrillic and shell": {below: `Магазин: it's "a" [b] {c} (d) & $HOME; #%s, \ ~ é`},
		"long":               {strings.Repeat("long-", 48) + "/" + strings.Repeat("длинный", 17), true},
		"lines, no text":     {"one\nline\tand \xff", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(tempDir(t), c.below)
			cfg, links, last := local.Config{Dir: dir, PostgresOnly: c.alone}, 2, "rabbitmq"
			if c.alone {
				links, last = 1, "postgres"
			}
			servers := start(t, cfg)
			writeRow(t, servers.DatabaseURL)
			if !c.alone {
				publishOne(t, servers.AMQPURL)
			}
			if err := servers.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			servers = start(t, cfg)
			wantRow(t, servers.DatabaseURL)
			if !c.alone {
				wantMessage(t, servers.AMQPURL)
			}
			if data, err := os.Lstat(filepath.Join(dir, last)); err != nil || !data.IsDir() {
				t.Errorf("the data is not in the directory: %v, %v", data, err)
			}
			before := outside(t, dir)
			if err := servers.Discard(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after := outside(t, dir); len(before) != links || len(after) != 0 {
				t.Errorf("links to the directory: %v, after its end %v; want %d and none", before, after, links)
			}
		})
	}
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

// wantPrivileges does what the role of an address may do, and logs in with a wrong password.
func wantPrivileges(t *testing.T, address string) {
	t.Helper()
	db := open(t, address)
	for _, statement := range []string{"SELECT system_identifier FROM pg_control_system()", "CREATE DATABASE another", "CREATE TABLE mine (id int)"} {
		if _, err := db.Exec(statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	wrong, _ := url.Parse(address)
	wrong.User = url.UserPassword("composerp", "wrong")
	if err := open(t, wrong.String()).Ping(); err == nil {
		t.Error("a wrong password gets in")
	}
}
