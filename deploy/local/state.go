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
}

// each has the port mapper's last.
func (p *ports) each() []*int {
	return []*int{&p.Postgres, &p.AMQP, &p.Management, &p.Prometheus, &p.Distribution, &p.Epmd}
}

func loadState(dir string) (state, error) {
	var st state
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, os.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return st, fmt.Errorf("reading the state of the servers: %w", err)
	}
	if err := json.Unmarshal(raw, &st); err != nil {
		return st, fmt.Errorf("reading %s: %w", filepath.Join(dir, stateFile), err)
	}
	return st, nil
}

// save replaces the file as a whole: a crash leaves the old one or the new one.
func (st state) save(dir string) error {
	raw, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the state of the servers: %w", err)
	}
	path := filepath.Join(dir, stateFile)
	if err := writeDurably(path+".new", append(raw, '\n')); err != nil {
		return fmt.Errorf("writing the state of the servers: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing the state of the servers: %w", err)
	}
	return nil
}

func writeDurably(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
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

// lockDir takes the directory's lock, or returns ErrInUse. It tries for a moment, because lockHeld takes the lock for
// an instant.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	for deadline := time.Now().Add(200 * time.Millisecond); ; time.Sleep(pollEvery) {
		file, err := tryLock(filepath.Join(dir, lockFile))
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", dir, err)
		}
		if file != nil {
			return file, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
	}
	if st, loadErr := loadState(dir); loadErr == nil && st.Owner != 0 {
		return nil, fmt.Errorf("the servers of %s are %w, started by pid %d", dir, ErrInUse, st.Owner)
	}
	return nil, fmt.Errorf("the servers of %s are %w", dir, ErrInUse)
}

// lockHeld reports whether a living process holds the directory's lock.
func lockHeld(dir string) (bool, error) {
	file, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the servers of %s: %w", dir, err)
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		return false, fmt.Errorf("looking for the servers of %s: %w", dir, err)
	}
	return err != nil, nil
}
