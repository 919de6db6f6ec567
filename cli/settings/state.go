package settings

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/secrets"
)

// State is what a running `up` writes to its directory, for the
// other commands. It holds passwords: only its owner can read the file.
type State struct {
	PID int `json:"pid"`
	Endpoints
	PageURL    string    `json:"pageUrl,omitempty"`
	MetricsURL string    `json:"metricsUrl,omitempty"`
	Dashboards string    `json:"dashboardsUrl,omitempty"` // the console page of its Prometheus
	StartedAt  time.Time `json:"startedAt"`
	// SecretsFile is where Secrets were read, "" for private servers'.
	SecretsFile string `json:"secretsFile,omitempty"`
	// Ready is true once every worker consumes.
	Ready bool `json:"ready,omitempty"`
}

// Pending are the keys whose URLs the file of secrets has anew and no connection was opened by yet. The error is that
// for which the process refuses the file, and keeps what it read before.
func (s State) Pending() (keys []string, err error) {
	if s.SecretsFile == "" {
		return nil, nil
	}
	urls, err := secrets.Read(s.SecretsFile)
	if err != nil {
		return nil, err
	}
	if err := (Endpoints{Secrets: s.Secrets}).sameServers(Endpoints{Secrets: urls}); err != nil {
		return nil, err
	}
	for key, url := range urls {
		if used := s.Secrets[key]; used != "" && used != url {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
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
	lock, err := local.Lock(context.Background(), filepath.Join(dir, fleetLock), lockTimeout)
	if err != nil {
		return nil, exit.Misconfigured("locking %s: %v", dir, err)
	}
	if lock == nil {
		return nil, ErrUp
	}
	return lock, nil
}

// Save writes the state to the directory.
func (s State) Save(dir string) error {
	if err := local.Save(filepath.Join(dir, StateFile), s); err != nil {
		return fmt.Errorf("writing where the fleet is: %w", err)
	}
	return nil
}

// IsHeld reports whether an `up` runs.
func IsHeld(dir string) (bool, error) {
	held, err := local.IsLocked(filepath.Join(dir, fleetLock))
	if err != nil {
		return false, exit.Misconfigured("checking for a fleet in %s: %v", dir, err)
	}
	return held, nil
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
	var s State
	// Without the file it is still starting.
	if err := local.Load(filepath.Join(dir, StateFile), &s); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, exit.Misconfigured("reading where the fleet is, %s: %v", filepath.Join(dir, StateFile), err)
	}
	return &s, nil
}
