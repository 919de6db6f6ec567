package worker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// process is what a process of the fleet is told, when it is this test binary
// that is one: where its servers are, which events it dies of, and of how many at once.
type process struct {
	DatabaseURL, BrokerURL string
	Poison                 []string
	TooMany                int // 0: no number
	Slots                  int
}

// kills tells whether the process dies of these events.
func (p process) kills(events []event.Any) bool {
	return p.TooMany > 0 && len(events) >= p.TooMany ||
		slices.ContainsFunc(events, func(e event.Any) bool { return slices.Contains(p.Poison, e.ID.String()) })
}

const processVariable = "COMPOSERP_TEST_PROCESS"

// TestProcess is no test: it is the process that TestWhatKillsTheProcess starts.
// It kills itself, as the kernel would, when it is handed poison.
func TestProcess(t *testing.T) {
	text := os.Getenv(processVariable)
	if text == "" {
		t.Skip("started by other tests")
	}
	var p process
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: p.DatabaseURL, Connections: 4})
	if err != nil {
		t.Fatal(err)
	}
	w := echoing(&tries{}, func(_ context.Context, events []event.Any) error {
		if p.kills(events) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	go func() { // the test ends it by closing its input
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		stop()
	}()
	r := worker.Runner{
		Worker: w, DB: db, Slots: p.Slots, Broker: rabbitmq.Config{URLs: []string{p.BrokerURL}},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// A message that kills the process ends among the dead letters, alone: what was
// prefetched with it is handled, once.
func TestWhatKillsTheProcessDiesAlone(t *testing.T) {
	t.Parallel()
	for name, slots := range map[string]int{"one slot": 1, "two slots": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 40
			w := echoing(&tries{}, nil)
			h := newEnv(t, w)
			events := sales(t, n)
			poison := events[n/2]
			h.Publish(events...)
			deaths := h.spawnUntil(process{Poison: []string{poison.ID.String()}, Slots: slots}, func() bool {
				all, _ := h.effects()
				return all >= n-1 && h.Depth(topology.DeadQueueName("echo")) > 0
			})
			h.wantEffects(n - 1)
			dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
			if dead.ID != poison.ID.String() || !strings.Contains(dead.Failure().Error, "died 3 times") {
				t.Errorf("want the poison and why, got %s: %s", dead.ID, dead.Failure().Error)
			}
			if left := h.Depth(topology.DeadQueueName("echo")) + h.Depth(topology.QueueName("echo")); left != 0 {
				t.Errorf("want no other message dead or left, got %d", left)
			}
			if suspects := storetest.Value[int](t, h.URL, `SELECT count(*) FROM suspect`); suspects != 0 {
				t.Errorf("want no suspect left, got %d", suspects)
			}
			if rows := h.failures(); len(rows) != 1 || rows[0].Message_ID != dead.ID || rows[0].Outcome != "dead" || rows[0].Class != "" {
				t.Errorf("want the poison alone written down, got %+v", rows)
			}
			t.Logf("the process died %d times", deaths)
		})
	}
}

// What kills the process only together, as by the memory that it takes, is handled in smaller batches.
func TestABatchThatKillsTheProcessIsCut(t *testing.T) {
	t.Parallel()
	const n, tooMany = 60, 6
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	h.Publish(sales(t, n)...)
	h.deliver(topology.QueueName("echo"), n, 4)
	deaths := h.spawnUntil(process{TooMany: tooMany, Slots: 1}, func() bool { all, _ := h.effects(); return all >= n })
	h.wantEffects(n)
	if dead := h.Depth(topology.DeadQueueName("echo")); dead != 0 || deaths == 0 {
		t.Errorf("want deaths and no dead letter, got %d deaths, %d letters", deaths, dead)
	}
	if suspects := storetest.Value[int](t, h.URL, `SELECT count(*) FROM suspect`); suspects != 0 {
		t.Errorf("want no suspect left, got %d", suspects)
	}
}

// spawnUntil starts one process after another until done holds, and gives how many died.
func (h *env) spawnUntil(p process, done func() bool) (deaths int) {
	h.Helper()
	p.DatabaseURL, p.BrokerURL = h.URL, h.Broker.URLs[0]
	for h.spawn(p, done) {
		if deaths++; deaths > 12 {
			h.Fatal("the process dies and dies")
		}
	}
	return deaths
}

// spawn starts a process and waits until it has died, or until done holds; then it ends it.
func (h *env) spawn(p process, done func() bool) (died bool) {
	h.Helper()
	text, err := json.Marshal(p)
	h.Must(err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcess$")
	cmd.Env = append(os.Environ(), processVariable+"="+string(text))
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	input, err := cmd.StdinPipe()
	h.Must(err)
	h.Must(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	h.Eventually("the process dies or has done its work", func() bool {
		select {
		case err := <-ended:
			ended <- err
			died = true
		default:
		}
		return died || done()
	})
	if !died {
		_ = input.Close()
	}
	err = workertest.Wait(h, "the process ends", ended)
	var exit *exec.ExitError
	switch killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; {
	case died && !killed, !died && err != nil:
		h.Fatalf("the process ended with %v:\n%s", err, output.String())
	}
	return died
}

// Hundreds of messages that were delivered in vain several times, through no fault of
// their own, take few transactions; so does what comes after them.
func TestSuspectsAreAttemptedTogether(t *testing.T) {
	t.Parallel()
	const suspects, rest, most = 300, 500, 60
	seen := &tries{}
	w := echoing(seen, nil, worker.Batch(100, 500))
	h := newEnv(t, w)
	h.Publish(sales(t, suspects)...)
	h.deliver(topology.QueueName("echo"), suspects, 4)
	h.Publish(sales(t, rest)...)
	r := h.RunWorker(w, 1)
	h.wantEffects(suspects + rest)
	if n := len(seen.all()); n > most || seen.largest() != 100 {
		t.Errorf("want %d messages in at most %d batches of up to 100, got %d of up to %d", suspects+rest, most, n, seen.largest())
	}
	if !r.Logs.Has("noting them while they are in hand") || r.Messages("dead") != 0 {
		t.Errorf("want it logged and no dead letter, got %d dead", r.Messages("dead"))
	}
	if left := storetest.Value[int](t, h.URL, `SELECT count(*) FROM suspect`); left != 0 {
		t.Errorf("want no suspect left, got %d", left)
	}
}
