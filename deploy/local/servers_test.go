package local_test

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
)

const ownerDir = "COMPOSERP_LOCAL_TEST_OWNER_DIR"

// TestMain lets this binary be the owner of servers: see startOwner.
func TestMain(m *testing.M) {
	dir := os.Getenv(ownerDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if _, err := local.Start(context.Background(), local.Config{Dir: dir}); err != nil {
		os.Stdout.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString("up")
	select {}
}

// startOwner runs another process that starts servers in dir, and returns when they are up.
func startOwner(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	owner := exec.Command(os.Args[0])
	owner.Env = append(append(os.Environ(), localtest.Environment()...), ownerDir+"="+dir)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Process.Kill() })
	said := make([]byte, 400)
	if n, _ := out.Read(said); string(said[:n]) != "up" {
		t.Fatalf("the owner said %q", said[:n])
	}
	return owner
}

func open(t *testing.T, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func writeRow(t *testing.T, address string) {
	t.Helper()
	if _, err := open(t, address).Exec("CREATE TABLE kept AS SELECT 42 AS answer"); err != nil {
		t.Fatal(err)
	}
}

func wantRow(t *testing.T, address string) {
	t.Helper()
	var answer int
	if err := open(t, address).QueryRow("SELECT answer FROM kept").Scan(&answer); err != nil || answer != 42 {
		t.Errorf("the row written before: %d, %v", answer, err)
	}
}

func channel(t *testing.T, address string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseDeadline(time.Now().Add(time.Second)) })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("kept", true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
	return ch
}

func publishOne(t *testing.T, address string) {
	t.Helper()
	ch := channel(t, address)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := ch.PublishWithDeferredConfirm("", "kept", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("kept")})
	if err != nil {
		t.Fatal(err)
	}
	if acked, err := confirm.WaitContext(t.Context()); err != nil || !acked {
		t.Fatalf("confirm: %v, %v", acked, err)
	}
}

func wantMessage(t *testing.T, address string) {
	t.Helper()
	ch := channel(t, address)
	localtest.Eventually(t, 10*time.Second, "the message published before is there", func() bool {
		got, ok, err := ch.Get("kept", true)
		if err != nil || ok && string(got.Body) != "kept" {
			t.Fatalf("the message published before: %q, %v", got.Body, err)
		}
		return ok
	})
}

// processes are the processes whose working directory or arguments lie in dir.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	cwds, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, cwd := range cwds {
		if target, err := os.Readlink(cwd); err == nil && strings.HasPrefix(target, dir) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(cwd), "comm"))
			found = append(found, strings.TrimSpace(string(name)))
		}
	}
	return found
}

func wantNoProcess(t *testing.T, dir string) {
	t.Helper()
	var left []string
	if !localtest.Await(20*time.Second, func() bool { left = processes(t, dir); return len(left) == 0 }) {
		t.Errorf("%s: %v", localtest.Late(20*time.Second, "no process is left"), left)
	}
}
