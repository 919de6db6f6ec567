package localtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
)

const bouncerConfig = `[databases]
* = host=%s port=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
`

// PgBouncer starts a PgBouncer in front of the server of a database URL, in pool mode session or transaction and else
// with its defaults, and returns the URL by which clients reach the database through it. It ends with t.
func PgBouncer(t testing.TB, databaseURL, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Fatal("PgBouncer is not installed: run `make test` as root, or `apt-get install pgbouncer`")
		}
	}
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	password, _ := u.User.Password()
	dir := t.TempDir()
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(bouncerConfig, u.Hostname(), u.Port(), u.User.Username(), password, port, mode)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{config}
	if os.Geteuid() == 0 { // It refuses to run as root, and reads its configuration before it changes its user.
		args = []string{"-u", "postgres", config}
	}
	process, err := local.Run(local.Program{Name: "PgBouncer", Path: program, Args: args, Dir: dir, LogFile: filepath.Join(dir, "pgbouncer.log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Kill)
	u.Host = fmt.Sprintf("127.0.0.1:%d", port)
	Eventually(t, 10*time.Second, "PgBouncer listens", func() bool {
		conn, err := net.Dial("tcp", u.Host)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return u.String()
}
