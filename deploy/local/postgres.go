package local

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lib/pq"
)

const (
	loopback     = "127.0.0.1"
	ourName      = "composerp" // role, user, database, virtual host
	postgresName = "PostgreSQL"
)

// postgres is one database server: home/data is the cluster, home/new one that initdb has not finished.
type postgres struct {
	instance
	installed []postgresBin
}

func (p *postgres) data() string { return filepath.Join(p.path, "data") }

// start makes the cluster if there is none, starts the server and sees to role and database, which a standby has of its
// primary.
func (p *postgres) start(ctx context.Context, st state) error {
	bin, err := p.chooseBin()
	if err != nil {
		return err
	}
	if _, err := os.Stat(p.data()); os.IsNotExist(err) {
		if p.cfg.Follows != nil {
			err = p.copy(ctx, bin, p.cfg.Follows.state)
		} else {
			err = p.initialize(ctx, bin, st.SuperuserPassword)
		}
		if err != nil {
			return err
		}
	}
	if err := p.open(ctx, st); err != nil || p.cfg.Follows != nil {
		return err
	}
	return p.prepare(ctx, st)
}

// open starts the server on a cluster that is there.
func (p *postgres) open(ctx context.Context, st state) error {
	began := time.Now()
	bin, err := p.chooseBin()
	if err != nil {
		return err
	}
	if err := p.disownPid(); err != nil {
		return err
	}
	if err := p.launch(ctx, bin, st); err != nil {
		return err
	}
	p.log.Info("started", "pid", p.server.pid(), "version", bin.major, "port", st.Ports.Postgres, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// chooseBin takes the version that made the data, for another cannot read it, or else the newest.
func (p *postgres) chooseBin() (postgresBin, error) {
	raw, err := os.ReadFile(filepath.Join(p.data(), "PG_VERSION"))
	if err != nil {
		return p.installed[0], nil
	}
	major := strings.TrimSpace(string(raw))
	for _, bin := range p.installed {
		if strconv.Itoa(bin.major) == major {
			return bin, nil
		}
	}
	return postgresBin{}, fmt.Errorf("the data in %s was made by PostgreSQL %s, which is %w: install postgresql-%s, or use another directory",
		p.data(), major, ErrNotInstalled, major)
}

// initialize makes a new cluster.
func (p *postgres) initialize(ctx context.Context, bin postgresBin, password string) error {
	passwordFile := filepath.Join(p.path, "password")
	defer os.Remove(passwordFile)
	if err := writeDurably(passwordFile, []byte(password+"\n")); err != nil {
		return fmt.Errorf("making a database cluster: %w", err)
	}
	if err := p.account.give(passwordFile); err != nil {
		return err
	}
	return p.fill(ctx, filepath.Join(bin.dir, "initdb"), nil, "--username", "postgres", "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-instructions")
}

// fill has a program make the cluster, under another name first, so that a crash in the middle leaves no half of one.
func (p *postgres) fill(ctx context.Context, program string, env []string, args ...string) error {
	fresh := filepath.Join(p.path, "new")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("making a database cluster: %w", err)
	}
	filling := exec.CommandContext(ctx, program, append([]string{"--pgdata", fresh}, args...)...)
	filling.Dir, filling.Env = workingDir, append(p.environment(), env...)
	filling.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.account.credential()}
	if out, err := filling.CombinedOutput(); err != nil {
		return fmt.Errorf("making a database cluster in %s: %s: %w", p.path, fillReason(string(out)), err)
	}
	if err := os.Rename(fresh, p.data()); err != nil {
		return fmt.Errorf("making a database cluster: %w", err)
	}
	return nil
}

var fillError = regexp.MustCompile(`(?m)^.*(?:No space left|FATAL|PANIC|(?:initdb|pg_basebackup): error).*$`)

func fillReason(output string) string {
	if line := fillError.FindString(output); line != "" {
		return shorten(line)
	}
	return shorten(strings.ReplaceAll(strings.TrimSpace(output), "\n", " "))
}

func (p *postgres) environment() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + p.path, "LC_ALL=C", "TZ=UTC"}
}

// settings are given on the command line and not in postgresql.conf: so an old directory gets today's.
func settings(port int) []string {
	var args []string
	for _, setting := range []string{
		"listen_addresses=" + loopback,
		"port=" + strconv.Itoa(port),
		"unix_socket_directories=",
		"max_connections=500",
		"shared_buffers=256MB",
		"max_wal_size=4GB",
		"password_encryption=scram-sha-256",
		// The promise rests on these three; they are PostgreSQL's defaults, stated so that they show.
		"fsync=on", "synchronous_commit=on", "full_page_writes=on",
		"timezone=UTC", "log_timezone=UTC",
		"logging_collector=off", "log_destination=stderr", "log_line_prefix=%m ",
		"cluster_name=" + ourName,
	} {
		args = append(args, "-c", setting)
	}
	return args
}

// launch starts the server and waits until it takes connections. One that died by SIGKILL leaves children that hold its
// shared memory for a moment: then the server refuses to start, and is started again.
func (p *postgres) launch(ctx context.Context, bin postgresBin, st state) error {
	args := append([]string{"-D", p.data()}, settings(st.Ports.Postgres)...)
	if p.cfg.TLS != nil {
		args = append(args, p.cfg.TLS.postgres(p.path)...)
	}
	for {
		server, err := run(command{
			name: postgresName, account: p.account, dir: workingDir, env: p.environment(),
			path: filepath.Join(bin.dir, "postgres"), args: args,
			logFile: filepath.Join(p.cfg.Dir, "postgres.log"), orderly: syscall.SIGINT,
		})
		if err != nil {
			return err
		}
		p.server = server
		db, err := sql.Open("postgres", databaseURL("postgres", st.SuperuserPassword, st.Ports.Postgres, "postgres"))
		if err != nil {
			return fmt.Errorf("connecting to PostgreSQL: %w", err)
		}
		err = await(ctx, server, db.PingContext)
		db.Close()
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "pre-existing shared memory block") {
			return err
		}
		time.Sleep(10 * pollEvery)
	}
}

const findOurs = `
SELECT (SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = $1), (SELECT count(*) FROM pg_catalog.pg_database WHERE datname = $1)`

// prepare sees to the role and its database. The password is set anew each time: the state file is the truth about it.
func (p *postgres) prepare(ctx context.Context, st state) error {
	db, err := sql.Open("postgres", databaseURL("postgres", st.SuperuserPassword, st.Ports.Postgres, "postgres"))
	if err != nil {
		return fmt.Errorf("preparing the database: %w", err)
	}
	defer db.Close()
	var roles, databases int
	if err := db.QueryRowContext(ctx, findOurs, ourName).Scan(&roles, &databases); err != nil {
		return fmt.Errorf("preparing the database: %w", err)
	}
	var statements []string
	if roles == 0 {
		statements = append(statements, "CREATE ROLE "+ourName)
	}
	// It makes databases of its own in tests, and reads the system identifier for the log's epochs.
	statements = append(statements, "ALTER ROLE "+ourName+" LOGIN CREATEDB PASSWORD "+pq.QuoteLiteral(st.Password))
	if databases == 0 {
		statements = append(statements, "CREATE DATABASE "+ourName+" OWNER "+ourName)
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("preparing the database: %w", err)
		}
	}
	return nil
}

func (p *postgres) pidFile() string { return filepath.Join(p.data(), "postmaster.pid") }

// stopLeftover ends the server that an owner killed with SIGKILL has left on this data.
func (p *postgres) stopLeftover(ctx context.Context) error {
	if p.path == "" {
		return nil
	}
	return stopLeftover(ctx, p.cfg, postgresName, p.pidFile(), syscall.SIGINT, func(args []string) bool {
		return strings.HasPrefix(filepath.Base(args[0]), "postgres") && follows(args, "-D", p.data())
	})
}

// disownPid puts a pid that cannot exist into a postmaster.pid whose own now belongs to a stranger, as after a restart
// of the machine: PostgreSQL would take a stranger of the same user for a running server and never start. The other
// lines stay, for they name the shared memory by which PostgreSQL tells that children of a dead server still use the
// data.
func (p *postgres) disownPid() error {
	pid := pidIn(p.pidFile())
	if pid == 0 || len(commandLine(pid)) == 0 {
		return nil
	}
	raw, err := os.ReadFile(p.pidFile())
	if err != nil {
		return fmt.Errorf("reading PostgreSQL's pid file: %w", err)
	}
	const noProcess = "999999999" // Above the largest pid of any kernel.
	_, rest, _ := strings.Cut(string(raw), "\n")
	if err := os.WriteFile(p.pidFile(), []byte(noProcess+"\n"+rest), 0o600); err != nil {
		return fmt.Errorf("writing PostgreSQL's pid file: %w", err)
	}
	return nil
}

func databaseURL(role, password string, port int, database string) string {
	address := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: fmt.Sprintf("%s:%d", loopback, port), Path: database,
		RawQuery: "sslmode=disable"}
	return address.String()
}
