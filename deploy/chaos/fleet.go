package chaos

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/secrets"
)

// member is one process of the fleet, which runs everything, and its network. A process that exits by itself is started
// again, as systemd or Kubernetes would do; if it was up, its exit is a finding.
type member struct {
	name             string
	program          local.Program
	database, broker *proxy.Proxy
	addFinding       func(problem string)

	mu      sync.Mutex
	process *local.Process
	wanted  bool // it is meant to run
	deaths  int  // exits by itself, also before it was up
}

const (
	// restartDelay is the time before a process that has exited is started again.
	restartDelay = 500 * time.Millisecond
	// isUp is what `composerp up` prints when every worker consumes.
	isUp = " is up\n"
)

// newMember makes a process of the fleet, without starting it.
func newMember(name, dir, program string, at local.Endpoints, environment []string, found func(string)) (*member, error) {
	m := &member{name: name, addFinding: found}
	var databaseURL, amqpURL string
	var err error
	if m.database, databaseURL, err = proxy.Before(at.DatabaseURL); err != nil {
		return nil, err
	}
	if m.broker, amqpURL, err = proxy.Before(at.AMQPURL); err != nil {
		m.database.Close()
		return nil, err
	}
	home := filepath.Join(dir, name)
	file, err := writeSecrets(dir, name, secrets.Servers{Database: databaseURL, AMQP: amqpURL, Management: at.ManagementURL})
	if err != nil {
		m.database.Close()
		m.broker.Close()
		return nil, err
	}
	m.program = local.Program{
		Name: name, Path: program, Args: []string{"up"}, Dir: home, LogFile: filepath.Join(dir, name+".log"),
		Env: append([]string{
			"COMPOSERP_SECRETS=" + file, "COMPOSERP_METRICS_ADDR=127.0.0.1:0", "COMPOSERP_DIR=" + home, "COMPOSERP_LOG_LEVEL=info",
		}, environment...),
	}
	return m, nil
}

// start starts the process and restarts it when it exits by itself.
func (m *member) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted = true
	return m.launch()
}

func (m *member) launch() error {
	process, err := local.Run(m.program)
	if err != nil {
		return err
	}
	m.process = process
	go m.watch(process)
	return nil
}

// watch starts the process again when it exits by itself.
func (m *member) watch(process *local.Process) {
	<-process.Done()
	m.mu.Lock()
	if !m.wanted || m.process != process {
		m.mu.Unlock()
		return
	}
	m.deaths++
	if process.Wrote(isUp) {
		m.addFinding(fmt.Sprintf("%s exited by itself: %s", m.name, process.Ended()))
	}
	m.mu.Unlock()
	time.Sleep(restartDelay)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wanted && m.process == process {
		if err := m.launch(); err != nil {
			m.addFinding(err.Error())
		}
	}
}

// up reports whether the process runs and has printed that it is up.
func (m *member) up() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process != nil && m.wanted && m.process.Wrote(isUp)
}

// unwanted ends the supervision of the process and gives it; nil when there is none.
func (m *member) unwanted() *local.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted = false
	return m.process
}

func (m *member) kill() {
	if p := m.unwanted(); p != nil {
		p.Kill()
	}
}

// stop terminates the process and reports whether it exited in time; otherwise it is killed.
func (m *member) stop(timeout time.Duration) bool {
	p := m.unwanted()
	return p == nil || p.Stop(timeout)
}

func (m *member) signal(sig syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		m.process.Signal(sig)
	}
}

// close ends the process and its network.
func (m *member) close() {
	m.kill()
	m.database.Close()
	m.broker.Close()
}

func (m *member) restarts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.deaths
}
