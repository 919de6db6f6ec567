package bench

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/management"
)

// Cores is how many processor cores each process kept busy. Zero where it is unknown: without /proc, or with servers on
// another machine.
type Cores struct {
	Client   float64 `json:"client"`
	Broker   float64 `json:"broker"`
	Database float64 `json:"database"`
	Others   float64 `json:"others"` // everything else on the machine, which disturbs the measurement
}

func (c Cores) measured() bool { return c.Client > 0 }

func (c Cores) ours() float64 { return c.Client + c.Broker + c.Database }

func (c Cores) String() string {
	return fmt.Sprintf("cores %.2f/%.2f/%.2f, others %.2f", c.Client, c.Broker, c.Database, c.Others)
}

// meter reads processor time from /proc.
type meter struct{ broker, postmaster int }

// statisticsTimeout is how long a broker that has just started may take to report its pid.
const statisticsTimeout = 6 * time.Second

// newMeter finds the servers' processes. It checks the program's name, because a server on another machine reports a
// pid too.
func newMeter(ctx context.Context, db *sql.DB, client *management.Client) meter {
	var m meter
	var backend int
	if db.QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&backend) == nil && strings.HasPrefix(programOf(backend), "postgres") {
		if fields := statOf(backend); fields != nil {
			m.postmaster, _ = strconv.Atoi(fields[1])
		}
	}
	ctx, cancel := context.WithTimeout(ctx, statisticsTimeout)
	defer cancel()
	var pid int
	_ = clock.Retry(ctx, 100*time.Millisecond, func() error {
		nodes, err := client.Nodes(ctx)
		if err == nil && len(nodes) > 0 {
			pid, err = strconv.Atoi(nodes[0].PID)
		}
		return err
	})
	if strings.HasPrefix(programOf(pid), "beam") {
		m.broker = pid
	}
	return m
}

// reading is the processor seconds spent at a time.
type reading struct {
	client, broker, database, busy float64
	at                             time.Time
}

func (m meter) read() reading {
	r := reading{at: time.Now(), client: ownSeconds(), broker: secondsOf(m.broker, false), database: secondsOf(m.postmaster, true), busy: busySeconds()}
	for _, child := range childrenOf(m.postmaster) {
		r.database += threadSeconds(child)
	}
	return r
}

// since gives the cores in use between two readings.
func (r reading) since(before reading) Cores {
	wall := r.at.Sub(before.at).Seconds()
	if wall <= 0 || r.busy == 0 {
		return Cores{}
	}
	c := Cores{Client: (r.client - before.client) / wall, Broker: (r.broker - before.broker) / wall, Database: (r.database - before.database) / wall}
	c.Others = max(0, (r.busy-before.busy)/wall-c.ours())
	return c
}

// measure takes the time from the commit of n sales to the end of what follows from them, which await waits for.
func (env *environment) measure(ctx context.Context, n int, commit func() error, await func() (ended time.Time, err error)) (Throughput, error) {
	env.checkpoint(ctx)
	if err := commit(); err != nil {
		return Throughput{}, err
	}
	written := env.servers.walBytes(ctx)
	began, before := time.Now(), env.servers.meter.read()
	ended, err := await()
	if err != nil {
		return Throughput{}, err
	}
	seconds := ended.Sub(began).Seconds()
	t := Throughput{PerSecond: float64(n) / seconds, Seconds: seconds, Cores: env.servers.meter.read().since(before)}
	t.WALBytes = max(0, env.servers.walBytes(ctx)-written) / float64(n)
	return t, nil
}

// walBytes is the position of the server's write-ahead log; 0 where it is unknown.
func (s *servers) walBytes(ctx context.Context) (at float64) {
	_ = s.admin.QueryRowContext(ctx, `SELECT pg_current_wal_insert_lsn() - '0/0'`).Scan(&at)
	return at
}

// ticksPerSecond is the unit of /proc's times: USER_HZ, 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// statOf gives the fields of /proc/pid/stat after the program's name: state, parent, ...
func statOf(pid int) []string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 15 {
		return nil
	}
	return fields
}

func secondsOf(pid int, withDeadChildren bool) float64 {
	fields := statOf(pid)
	if fields == nil {
		return 0
	}
	times := fields[11:13] // utime, stime
	if withDeadChildren {
		times = fields[11:15] // and those of its children that have exited
	}
	return sumTicks(times)
}

func sumTicks(fields []string) (seconds float64) {
	for _, f := range fields {
		v, _ := strconv.ParseFloat(f, 64)
		seconds += v / ticksPerSecond
	}
	return seconds
}

// threadSeconds is the processor time of a process of one thread, to the nanosecond where the kernel counts so.
func threadSeconds(pid int) float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	running, _, _ := strings.Cut(string(raw), " ")
	if nanoseconds, err := strconv.ParseFloat(running, 64); err == nil && nanoseconds > 0 {
		return nanoseconds / 1e9
	}
	return secondsOf(pid, false)
}

// ownSeconds is the processor time of this process, to the microsecond.
func ownSeconds() float64 {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

func childrenOf(pid int) (children []int) {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(raw)) {
		child, _ := strconv.Atoi(f)
		children = append(children, child)
	}
	return children
}

// busySeconds is the processor time of the whole machine, without idling and waiting for disks.
func busySeconds() float64 {
	raw, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(raw), "\n")
	fields := strings.Fields(first)
	if len(fields) < 8 {
		return 0
	}
	return sumTicks(fields[1:4]) + sumTicks(fields[6:8]) // user, nice, system; irq, softirq
}

func programOf(pid int) string {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(raw))
}

// privateMiB is the memory of a process that it does not share; 0 where it is unknown.
func privateMiB(pid int) float64 { return statusKiB(pid, "RssAnon") / (1 << 10) }

func statusKiB(pid int, key string) float64 {
	kibibytes, _ := strconv.ParseFloat(strings.TrimSuffix(valueIn(fmt.Sprintf("/proc/%d/status", pid), key), " kB"), 64)
	return kibibytes
}

// memoryInterval is how often the memory is read.
const memoryInterval = 100 * time.Millisecond

// peakMemory runs do and gives the most memory that this process had resident meanwhile, in MB, what it had before
// given back; 0 where it is unknown.
func peakMemory(do func() error) (megabytes float64, err error) {
	debug.FreeOSMemory()
	ended, peak := make(chan struct{}), make(chan float64)
	go func() {
		most := 0.0
		ticker := time.NewTicker(memoryInterval)
		defer ticker.Stop()
		for running := true; running; {
			select {
			case <-ticker.C:
			case <-ended:
				running = false
			}
			most = max(most, statusKiB(os.Getpid(), "VmRSS"))
		}
		peak <- most * (1 << 10) / 1e6
	}()
	err = do()
	close(ended)
	return <-peak, err
}
