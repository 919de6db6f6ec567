package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/composerp/composerp/cli/exit"
)

// State is what a running `up` writes to its directory, for the
// other commands. It holds passwords: only its owner can read the file.
type State struct {
	PID int `json:"pid"`
	Endpoints
	MetricsURL string    `json:"metricsUrl,omitempty"`
	StartedAt  time.Time `json:"startedAt"`
	// Ready is true once every worker consumes.
	Ready bool `json:"ready,omitempty"`
}

// The files of a running fleet, in --dir.
const (
	StateFile = "fleet.json" // the state of a running `up`, in --dir
	fleetLock = "fleet.lock"

	lockTimeout = time.Second
)

// ErrUp says that a fleet runs in the directory already.
var ErrUp = errors.New("already up")

// Hold takes the directory for one `up`. The kernel lets go of it when the
// process ends, however it ends.
func Hold(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, exit.Misconfigured("making %s: %v", dir, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, fleetLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, exit.Misconfigured("locking %s: %v", dir, err)
	}
	// A process killed a moment ago may still be exiting, and a command that
	// checks for a running fleet holds the lock briefly.
	for deadline := time.Now().Add(lockTimeout); ; time.Sleep(10 * time.Millisecond) {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrUp
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return lock, nil
}

// Save writes the state to the directory.
func (s State) Save(dir string) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, StateFile)
	if err := os.WriteFile(path+".new", append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing where the fleet is: %w", err)
	}
	return os.Rename(path+".new", path)
}

// IsHeld reports whether an `up` runs. A shared lock does not block another check.
func IsHeld(dir string) (bool, error) {
	lock, err := os.OpenFile(filepath.Join(dir, fleetLock), os.O_RDWR, 0o600)
	if err != nil {
		return false, exit.Misconfigured("checking for a fleet in %s: %v", dir, err)
	}
	defer lock.Close()
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Find reads the state of a running `up`; nil when none runs there.
func Find(dir string) (*State, error) {
	if _, err := os.Stat(filepath.Join(dir, fleetLock)); err != nil {
		return nil, nil
	}
	held, err := IsHeld(dir)
	if err != nil || !held {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, StateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &State{}, nil // it is still starting
	}
	if err != nil {
		return nil, exit.Misconfigured("reading where the fleet is: %v", err)
	}
	var s State
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Join(dir, StateFile), err)
	}
	return &s, nil
}
