package local

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	stateFile = "servers.json"
	lockFile  = "servers.lock"
)

// state is what a directory's servers need again at the next start. It holds passwords: the file is the owner's alone.
type state struct {
	Ports             ports      `json:"ports"`
	SuperuserPassword string     `json:"superuserPassword"` // of PostgreSQL's role postgres
	Password          string     `json:"password"`          // of composerp, at both servers
	Owner             int        `json:"owner,omitempty"`   // pid of the process that runs the servers now
	Endpoints         *Endpoints `json:"endpoints,omitempty"`
}

// ports are remembered so that addresses written down elsewhere stay right.
type ports struct {
	Postgres, AMQP, Management, Prometheus, Distribution, Epmd int

	AMQPS, HTTPS int // of RabbitMQ, with Config.TLS
}

// each has the port mapper's last.
func (p *ports) each() []*int {
	return []*int{&p.Postgres, &p.AMQP, &p.Management, &p.Prometheus, &p.Distribution, &p.AMQPS, &p.HTTPS, &p.Epmd}
}

func loadState(dir string) (st state, err error) {
	if err := Load(filepath.Join(dir, stateFile), &st); err != nil && !errors.Is(err, os.ErrNotExist) {
		return st, fmt.Errorf("reading the state of the servers, %s: %w", filepath.Join(dir, stateFile), err)
	}
	return st, nil
}

func (st state) save(dir string) error {
	if err := Save(filepath.Join(dir, stateFile), st); err != nil {
		return fmt.Errorf("writing the state of the servers: %w", err)
	}
	return nil
}

// makePasswords generates those that are missing, of characters that need no escaping in URLs, SQL and configuration
// files.
func (st *state) makePasswords() {
	st.SuperuserPassword = cmp.Or(st.SuperuserPassword, rand.Text())
	st.Password = cmp.Or(st.Password, rand.Text())
}

// choosePorts keeps each port that is still free, and holds it until all are chosen, so that no two are the same.
func choosePorts(wanted []*int) error {
	for _, port := range wanted {
		listener, err := listenFree(*port)
		if err != nil {
			return err
		}
		defer listener.Close()
		*port = listener.Addr().(*net.TCPAddr).Port
	}
	return nil
}

// listenFree takes the preferred port, or else one at random below those that the kernel gives to outgoing connections:
// such a one cannot be taken by a client's connection between now and the server's start, or while the servers are
// down.
func listenFree(preferred int) (net.Listener, error) {
	const low, high, tries = 20000, 32000, 200
	var last error
	for range tries {
		port := preferred
		preferred = 0
		if port == 0 {
			n, err := rand.Int(rand.Reader, big.NewInt(high-low))
			if err != nil {
				return nil, fmt.Errorf("choosing a port: %w", err)
			}
			port = low + int(n.Int64())
		}
		listener, err := net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err == nil {
			return listener, nil
		}
		last = err
	}
	return nil, fmt.Errorf("choosing a port on loopback: none of %d is free: %w", tries, last)
}

// lockDir takes the directory's lock, or returns ErrInUse.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	file, err := Lock(ctx, filepath.Join(dir, lockFile), 200*time.Millisecond)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	if file != nil {
		return file, nil
	}
	if st, loadErr := loadState(dir); loadErr == nil && st.Owner != 0 {
		return nil, fmt.Errorf("the servers of %s are %w, started by pid %d", dir, ErrInUse, st.Owner)
	}
	return nil, fmt.Errorf("the servers of %s are %w", dir, ErrInUse)
}

// tryLock makes and locks a file, for as long as it is open; nil when another holds the lock. The kernel releases it
// when this process ends, however it ends; the children do not inherit it.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return nil, nil
	}
	return nil, err
}

// Lock tries to make and lock a file for as long; nil when another holds the lock. A process killed a moment ago may
// still be exiting, and IsLocked takes the lock for an instant.
func Lock(ctx context.Context, path string, long time.Duration) (*os.File, error) {
	for deadline := time.Now().Add(long); ; time.Sleep(10 * time.Millisecond) {
		file, err := tryLock(path)
		if file != nil || err != nil || time.Now().After(deadline) || ctx.Err() != nil {
			return file, err
		}
	}
}

// IsLocked reports whether a living process holds the lock. It does not stand in the way of another that asks.
func IsLocked(path string) (bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Load reads what Save wrote; an *os.PathError when there is nothing.
func Load(path string, state any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, state)
}

// Save replaces the file as a whole, for its owner's eyes: a crash leaves the old one or the new one.
func Save(path string, state any) error {
	raw, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	if err := writeDurably(path+".new", append(raw, '\n')); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// writeDurably writes a file for its owner's eyes, and waits until it is on the disk.
func writeDurably(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}
