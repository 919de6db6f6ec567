package cli_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/storetest"
)

// A redrive is killed by SIGKILL in the middle, and done again. No worker runs, so
// that every redriven letter is counted; and no dead-letter log is written but its own.
func TestAKilledRedriveGoesOn(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.ok("migrate", "up")
	h.ok("topology", "apply")
	const n = 300
	var want []string
	session, publisher := h.publisher()
	for i := range n {
		want = append(want, fmt.Sprintf("m-%04d", i))
		h.buryBy(publisher, "ledger", want[i], "garbage", "no such item", fmt.Sprintf("%02d:%02d:00Z", i/60, i%60))
	}
	redrive := []string{"dlq", "redrive", "--queue", "ledger", "-o", "json"}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append(redrive, "--rate", "200")...)
	var said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = h.dir, h.env, &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	depth := func(queue string) int {
		ready, _, err := session.Depth(queue)
		if err != nil {
			t.Fatal(err)
		}
		return ready
	}
	h.soon("some are redriven", func() bool { return depth("composerp.ledger") > 20 })
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatalf("it was done before it was killed: %s", said.String())
	}
	var rest []string
	h.soon("the rest is back", func() bool {
		_, consumers, err := session.Depth("composerp.ledger.dead")
		return err == nil && consumers == 0 && depth("composerp.ledger.dead")+depth("composerp.ledger") >= n
	})
	rest = h.ids(session, "composerp.ledger.dead")
	if len(rest) == 0 || !slices.Equal(rest, want[n-len(rest):]) {
		t.Errorf("the rest of %d has another order: %v", len(rest), rest)
	}
	put := depth("composerp.ledger") // some are still dead, too: those not acknowledged when the process died
	h.ok(append(redrive, "--rate", "max")...)
	h.soon("all are redriven", func() bool { return depth("composerp.ledger.dead") == 0 })
	got := h.ids(session, "composerp.ledger")
	copies := len(got) - n
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) || copies < 0 || copies > put {
		t.Errorf("%d of %d letters were redriven, and %d copies; %d were redriven when the process died", len(got), n, copies, put)
	}
	if lying := storetest.Value[int](t, h.database, `SELECT count(*) FROM dead_letter WHERE lies OR redrives = 0`); lying != 0 {
		t.Errorf("%d letters are not redriven in the dead-letter log", lying)
	}
}

// ids are the ids of a queue's messages, from its front; the messages stay.
func (h *environment) ids(session *rabbitmq.Session, queue string) []string {
	h.Helper()
	s, err := session.Browse(queue, "ids."+queue)
	if err != nil {
		h.Fatal(err)
	}
	var found []string
	for {
		taken, err := s.Take(h.Context(), 100)
		if err != nil {
			if !strings.Contains(err.Error(), rabbitmq.ErrDrained.Error()) {
				h.Fatal(err)
			}
			break
		}
		for _, d := range taken {
			found = append(found, d.ID)
		}
		s.Keep(len(taken))
	}
	if _, err := s.Close(); err != nil {
		h.Fatal(err)
	}
	return found
}
