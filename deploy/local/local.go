// Package local runs a private PostgreSQL and a private RabbitMQ from the programs installed on this machine: for
// `composerp up`, for the demo, and for tests. Both listen on loopback only, keep everything under one directory, and
// live no longer than the process that started them.
//
// What holds:
//   - One owner a directory. A lock on it is held from before the first server starts until after the last has gone; a
//     second Start gets ErrInUse. The kernel drops the lock when the owner dies, however it dies.
//   - No server outlives its owner by more than its own shutdown. Each is started from an operating-system thread that
//     stays as long as the server does, with a parent-death signal that means an orderly stop (SIGINT is PostgreSQL's
//     fast shutdown, SIGTERM RabbitMQ's stop). They are in process groups of their own, so that Ctrl-C reaches the
//     owner first and the owner decides the order.
//   - No two servers work on the same data. An owner killed with SIGKILL leaves servers that are still going down; the
//     next Start finds them through their pid files, makes sure through /proc that the pid still is that program with
//     that directory, stops them and waits.
//   - Nothing is half made. A database directory is made under another name and renamed; the state file is written
//     beside and renamed.
//   - No other user gets in: generated passwords (scram in PostgreSQL), files of mode 0600, no Unix sockets, Erlang
//     distribution on loopback.
//
// As root each server runs as an unprivileged user and owns only its own data directory. Where that user cannot enter
// the directory (a clone below /root), the data lies in a directory under /var/tmp named after the path, and a symbolic
// link stands in its place. Where the path has blanks, quotes, brackets or letters beyond ASCII, the data lies in
// it, and the servers reach it by a link in such a directory under /var/tmp.
//
// What fails: a server that does not come up takes the other one down with it, and Start returns one line with the
// reason from its log. A server that dies later closes Exited, unless Config.Restarts has it started again. Halt ends
// one server on purpose, and Revive starts it again.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

var (
	// ErrInUse says that another living process runs servers in the same directory.
	ErrInUse = errors.New("already running")
	// ErrNotInstalled says that a program is missing; the error's text says how to install it.
	ErrNotInstalled = errors.New("not installed")
	// ErrNotRunning says that no process runs servers in the directory.
	ErrNotRunning = errors.New("not running")
	// errPortTaken says that a chosen port was taken by another process between the choice and the server's start.
	errPortTaken = errors.New("port taken")
)

// Config says what to start and where. The zero value starts both servers under .composerp in the working directory.
type Config struct {
	Dir          string        // data, logs and state; made when missing; default ".composerp"
	Log          *slog.Logger  // default: none
	PostgresOnly bool          // leave RabbitMQ out
	BrokerOnly   bool          // leave PostgreSQL out
	Node         Node          // of a cluster; the zero value: RabbitMQ stands alone
	Follows      *Servers      // which run: PostgreSQL begins as a copy of theirs and is its standby; nil: it stands alone
	TLS          *TLS          // of both, for encrypted connections; nil: none
	Shared       bool          // by all tests of this process: takes no slot for running, see LimitVariable
	StartTimeout time.Duration // for both, or each node, to be ready; default two minutes, more with SlownessVariable
	StopTimeout  time.Duration // for an orderly stop before they are killed; default thirty seconds
	// Restarts is how many times in ten minutes a server that ends by itself is started again. The next end closes
	// Exited, and so does one that cannot be followed by a start; 0: the first does.
	Restarts int
}

const defaultDir = ".composerp"

func (cfg Config) withDefaults() Config {
	cfg.Dir = cmp.Or(cfg.Dir, defaultDir)
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.StartTimeout = cmp.Or(cfg.StartTimeout, startTimeout())
	cfg.StopTimeout = cmp.Or(cfg.StopTimeout, 30*time.Second)
	return cfg
}

// Endpoints are the addresses of a pair of servers, passwords included. An address is empty when its server was left
// out. The role of DatabaseURL may create databases.
type Endpoints struct {
	DatabaseURL   string `json:"databaseUrl,omitempty"`   // postgres://composerp:...@127.0.0.1:port/composerp
	AMQPURL       string `json:"amqpUrl,omitempty"`       // amqp://composerp:...@127.0.0.1:port/composerp
	ManagementURL string `json:"managementUrl,omitempty"` // http://composerp:...@127.0.0.1:port, an administrator
	PrometheusURL string `json:"prometheusUrl,omitempty"` // http://127.0.0.1:port/metrics
}

// Servers are running servers. They are stopped by Stop or Discard, and by the end of this process.
type Servers struct {
	Endpoints

	cfg      Config
	held     ownership
	state    state
	postgres *postgres
	broker   *broker
	stopOnce sync.Once
	stopping chan struct{}
	exitOnce sync.Once
	exited   chan struct{}
	err      error // why Exited was closed; valid after that

	restarting sync.Mutex
	restarted  []time.Time // when servers were started again
}

// Start starts what cfg asks for and returns once all of it answers. The servers stay when ctx ends afterwards: ctx
// bounds the start alone. On an error nothing is left running. ErrInUse and ErrNotInstalled can be told apart; every
// error is one line.
func Start(ctx context.Context, cfg Config) (*Servers, error) {
	cfg = cfg.withDefaults()
	privateBrokers := max(1, cfg.Node.Of) // those that count among the tests'; the first node counts for its cluster
	if cfg.PostgresOnly || cfg.Shared || cfg.Node.First != nil {
		privateBrokers = 0
	}
	held, found, err := own(ctx, &cfg, privateBrokers)
	if err != nil {
		return nil, err
	}
	defer held.claim.started()
	ctx, cancel := context.WithTimeout(ctx, cfg.StartTimeout)
	defer cancel()
	s, err := startLocked(ctx, cfg, found)
	if errors.Is(err, errPortTaken) {
		cfg.Log.Info("a port was taken meanwhile, choosing others", "reason", err)
		s, err = startLocked(ctx, cfg, found)
	}
	if err != nil {
		held.free()
		return nil, err
	}
	s.held = held
	return s, nil
}

// ownership is what a process holds while it runs servers: their directory and slots.
type ownership struct {
	lock  *os.File
	claim *claim
}

// own looks for the programs, makes cfg.Dir, which it sets to where that is, locks it, and waits for the slots of a
// start with that number of private brokers.
func own(ctx context.Context, cfg *Config, brokers int) (o ownership, found programs, err error) {
	if found, err = findPrograms(*cfg); err != nil {
		return o, found, err
	}
	if cfg.Dir, err = makeDir(cfg.Dir); err != nil {
		return o, found, err
	}
	if o.lock, err = lockDir(ctx, cfg.Dir); err != nil {
		return o, found, err
	}
	if o.claim, err = limits().take(ctx, brokers); err != nil {
		o.lock.Close()
	}
	return o, found, err
}

// free gives the directory and the slots to the next.
func (o ownership) free() {
	if o.lock != nil { // nil: Start itself has failed, and frees what it holds
		o.lock.Close()
		o.claim.release()
	}
}

// startLocked starts the servers in a directory whose lock is held.
func startLocked(ctx context.Context, cfg Config, found programs) (*Servers, error) {
	st, err := loadState(cfg.Dir)
	if err != nil {
		return nil, err
	}
	st.Endpoints, st.Owner = nil, os.Getpid()
	s := &Servers{cfg: cfg, stopping: make(chan struct{}), exited: make(chan struct{})}
	one := func(server string) instance {
		return instance{cfg: cfg, log: cfg.Log.With("server", server), stopping: s.stopping, begun: func(c *child) { go s.watch(c) }}
	}
	pg := &postgres{instance: one("postgresql"), installed: found.postgres.bins}
	mq := &broker{instance: one("rabbitmq"), installed: found.broker}
	pg.again = func(ctx context.Context) error { return pg.open(ctx, s.state) }
	mq.again = func(ctx context.Context) error { return mq.launch(ctx, s.state) }
	if !cfg.BrokerOnly {
		if pg.home, err = place(cfg, "postgres", found.postgres.account); err != nil {
			return nil, err
		}
	}
	if !cfg.PostgresOnly {
		if mq.home, err = place(cfg, "rabbitmq", found.broker.account); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(pg.stopLeftover(ctx), mq.stopLeftover(ctx)); err != nil {
		return nil, err
	}
	for _, h := range []home{pg.home, mq.home} {
		if err := h.usable(st); err != nil {
			return nil, err
		}
		if cfg.TLS != nil && h.path != "" {
			if err := cfg.TLS.write(h); err != nil {
				return nil, err
			}
		}
	}
	wanted := st.Ports.each()
	if first := cfg.Node.First; first != nil {
		st.Password, st.Ports.Epmd = first.state.Password, first.state.Ports.Epmd
		wanted = wanted[:len(wanted)-1]
	}
	if primary := cfg.Follows; primary != nil {
		st.Password, st.SuperuserPassword = primary.state.Password, primary.state.SuperuserPassword
	}
	st.makePasswords()
	if err := choosePorts(wanted); err != nil {
		return nil, err
	}
	if err := st.save(cfg.Dir); err != nil {
		return nil, err
	}
	s.postgres, s.broker = pg, mq
	if err := s.startAll(ctx, st); err != nil {
		return nil, err
	}
	s.Endpoints = st.endpoints(cfg)
	if cfg.TLS != nil {
		authority := filepath.Join(cfg.Dir, "ca.pem")
		if err := writeDurably(authority, cfg.TLS.Authority); err != nil {
			return nil, errors.Join(err, s.Stop(ctx))
		}
		if s.Endpoints, err = s.Endpoints.encrypted(st.Ports, authority); err != nil {
			return nil, errors.Join(err, s.Stop(ctx))
		}
	}
	st.Endpoints = &s.Endpoints
	if err := st.save(cfg.Dir); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	s.state = st
	return s, nil
}

// startAll starts both servers side by side; the first that fails stops the other.
func (s *Servers) startAll(ctx context.Context, st state) error {
	group, groupCtx := errgroup.WithContext(ctx)
	if !s.cfg.BrokerOnly {
		group.Go(func() error { return s.postgres.start(groupCtx, st) })
	}
	if !s.cfg.PostgresOnly {
		group.Go(func() error { return s.broker.start(groupCtx, st) })
	}
	if err := group.Wait(); err != nil {
		s.killAll()
		return err
	}
	for _, c := range s.children() {
		go s.watch(c)
	}
	return nil
}

// children are the processes that were started and not stopped, in the order in which they are stopped at the end.
func (s *Servers) children() []*child {
	return slices.DeleteFunc([]*child{s.postgres.server, s.broker.server, s.broker.epmd}, func(c *child) bool { return c == nil })
}

// Find returns the addresses of the servers that another process runs in dir, and that process's pid; ErrNotRunning
// when none does.
func Find(dir string) (Endpoints, int, error) {
	dir = cmp.Or(dir, defaultDir)
	held, err := IsLocked(filepath.Join(dir, lockFile))
	if err != nil {
		return Endpoints{}, 0, fmt.Errorf("looking for the servers of %s: %w", dir, err)
	}
	if !held {
		return Endpoints{}, 0, fmt.Errorf("the servers of %s are %w", dir, ErrNotRunning)
	}
	st, err := loadState(dir)
	if err != nil {
		return Endpoints{}, 0, err
	}
	if st.Endpoints == nil {
		return Endpoints{}, 0, fmt.Errorf("the servers of %s are still starting or stopping: %w", dir, ErrNotRunning)
	}
	return *st.Endpoints, st.Owner, nil
}

// Remove deletes what Start made in dir: databases, queues, passwords, logs; also what lies elsewhere because dir
// cannot be entered. Other files in dir stay. It returns ErrInUse while servers run there.
func Remove(ctx context.Context, dir string) error {
	cfg := Config{Dir: dir}.withDefaults()
	abs, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return fmt.Errorf("removing %s: %w", cfg.Dir, err)
	}
	if abs, err = filepath.EvalSymlinks(abs); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("removing %s: %w", cfg.Dir, err)
	}
	lock, err := lockDir(ctx, abs)
	if err != nil {
		return err
	}
	defer lock.Close()
	return removeData(ctx, cfg, abs)
}
