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
// that is one: where its servers are, and which events it dies of.
type process struct {
	DatabaseURL, BrokerURL string
	Poison                 []string
	Slots                  int
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
		for _, e := range events {
			if slices.Contains(p.Poison, e.ID.String()) {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
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
			deaths := 0
			for condemned := false; !condemned; {
				died := h.spawn(process{DatabaseURL: h.URL, BrokerURL: h.Broker.URLs[0], Poison: []string{poison.ID.String()}, Slots: slots}, func() bool {
					all, _ := h.effects()
					condemned = all >= n-1 && h.Depth(topology.DeadQueueName("echo")) > 0
					return condemned
				})
				if died {
					if deaths++; deaths > 12 {
						t.Fatal("the process dies and dies")
					}
				}
			}
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

// What has been delivered in vain several times, through no fault of its own, is
// handled one by one; what comes after it in big bites again.
func TestCarefulnessEnds(t *testing.T) {
	t.Parallel()
	const suspects, rest = 5, 500
	seen := &tries{}
	w := echoing(seen, nil, worker.Batch(100, 500))
	h := newEnv(t, w)
	h.Publish(sales(t, suspects)...)
	h.deliver(topology.QueueName("echo"), suspects, 4)
	h.Publish(sales(t, rest)...)
	r := h.RunWorker(w, 1)
	h.wantEffects(suspects + rest)
	for i, batch := range seen.all()[:suspects] {
		if len(batch) != 1 {
			t.Errorf("suspect %d: want it tried alone, got a batch of %d", i, len(batch))
		}
	}
	if seen.largest() != 100 {
		t.Errorf("want batches of 100 after the suspects, got %d at most", seen.largest())
	}
	if !r.Logs.Has("processing suspect messages one by one") || r.Messages("dead") != 0 {
		t.Errorf("want it logged and no dead letter, got %d dead", r.Messages("dead"))
	}
}
