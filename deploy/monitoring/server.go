package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/composerp/composerp/deploy/local"
)

// ErrNotInstalled says that there is no Prometheus on this machine.
var ErrNotInstalled = errors.New("prometheus is not installed: run `make setup`, or `apt-get install prometheus`; see https://prometheus.io/download/")

const (
	program     = "prometheus"
	usualPort   = 9090
	readyWithin = time.Minute
	stopWithin  = 10 * time.Second
	// interval is the pause between two scrapes: short, for everything is on one machine and a person looks on.
	interval = 5 * time.Second
	keptFor  = "7d"
)

// ServerConfig says what a Prometheus of one's own scrapes.
type ServerConfig struct {
	Dir   string // of its files and data; it is made when it is missing
	Fleet string // host:port of a process of the fleet
	// Instance is the process's label instance; empty: Fleet. A port that differs after a restart makes no second process
	// then, whose last numbers would be added for five minutes.
	Instance string
	Brokers  []string // host:port of the exporter of each node
	Vhost    string   // whose queues are scraped
}

// Server is a running Prometheus on loopback.
type Server struct {
	URL     string
	process *local.Process
}

// ConsoleURL is the address of the console page.
func (s *Server) ConsoleURL() string { return s.URL + "/consoles/" + consoleFile }

// Exited is closed when it has ended.
func (s *Server) Exited() <-chan struct{} { return s.process.Done() }

// Ended says how it ended. It is for after Exited.
func (s *Server) Ended() string { return s.process.Ended() }

// Stop ends it. Its data stays.
func (s *Server) Stop() { s.process.Stop(stopWithin) }

const (
	consoleFile = "composerp.html"
	rulesFile   = "rules.yaml"
	configFile  = "prometheus.yaml"
)

// Start starts a Prometheus and returns when it answers. It returns ErrNotInstalled when there is none.
func Start(ctx context.Context, cfg ServerConfig) (*Server, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, ErrNotInstalled
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("finding the directory of Prometheus: %w", err)
	}
	if err := writeFiles(dir, cfg); err != nil {
		return nil, err
	}
	// The usual port may be another's, also from the moment after it was found free: the system gives one then.
	s, err := start(ctx, path, dir, fmt.Sprintf("127.0.0.1:%d", usualPort))
	if errors.Is(err, errTaken) {
		s, err = start(ctx, path, dir, "127.0.0.1:0")
	}
	return s, err
}

// errTaken says that a port is another process's.
var errTaken = errors.New("address already in use")

func start(ctx context.Context, path, dir, wanted string) (*Server, error) {
	address, err := freeAddress(ctx, wanted)
	if err != nil {
		return nil, err
	}
	process, err := local.Run(local.Program{
		Name: "Prometheus", Path: path, Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH")}, LogFile: filepath.Join(dir, "prometheus.log"),
		Args: []string{
			"--config.file=" + filepath.Join(dir, configFile), "--storage.tsdb.path=" + dataIn(dir), "--storage.tsdb.retention.time=" + keptFor,
			"--web.listen-address=" + address, "--web.console.templates=" + filepath.Join(dir, "consoles"), "--web.console.libraries=" + filepath.Join(dir, "consoles"),
		},
	})
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + address, process: process}
	if err := s.awaitReady(ctx, dataIn(dir)); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// dataIn is where a Prometheus keeps what it has scraped.
func dataIn(dir string) string { return filepath.Join(dir, "data") }

func writeFiles(dir string, cfg ServerConfig) error {
	if err := os.MkdirAll(filepath.Join(dir, "consoles"), 0o755); err != nil {
		return fmt.Errorf("making the directory of Prometheus: %w", err)
	}
	for name, text := range map[string]string{
		configFile: ScrapeConfig(cfg, interval, rulesFile), rulesFile: Rules(Alerts), filepath.Join("consoles", consoleFile): Console(Dashboards),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("configuring Prometheus: %w", err)
		}
	}
	return nil
}

// freeAddress is an address with its port, free a moment ago. It returns errTaken when it is another's.
func freeAddress(ctx context.Context, wanted string) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", wanted)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "", errTaken
	case err != nil:
		return "", fmt.Errorf("finding a port for Prometheus: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// awaitReady waits until the Prometheus that keeps its data in a directory answers: at its port another one may.
func (s *Server) awaitReady(ctx context.Context, data string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if answersFor(ctx, s.URL, data) {
			return nil
		}
		select {
		case <-s.Exited():
			if s.process.Wrote(errTaken.Error()) {
				return errTaken
			}
			return fmt.Errorf("starting Prometheus: %s", s.Ended())
		case <-ctx.Done():
			return fmt.Errorf("starting Prometheus: %w", ctx.Err())
		case <-ticker.C:
		}
	}
}

// answersFor reports whether a Prometheus that keeps its data there answers: its API does so when it is ready.
func answersFor(ctx context.Context, at, data string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/api/v1/status/flags", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var flags struct {
		Data map[string]string
	}
	err = json.NewDecoder(response.Body).Decode(&flags)
	return err == nil && response.StatusCode == http.StatusOK && flags.Data["storage.tsdb.path"] == data
}

// BrokerAddress is host:port of the exporter of the broker that a URL of AMQP leads to, at its usual port.
func BrokerAddress(amqp string) (string, error) {
	u, err := url.Parse(amqp)
	if err != nil || u.Hostname() == "" {
		return "", errors.New("finding the broker's exporter: the broker's URL has no host")
	}
	return net.JoinHostPort(u.Hostname(), "15692"), nil
}
