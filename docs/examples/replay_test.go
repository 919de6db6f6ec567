package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/topology"
)

// The permissions that the guide gives a reader of the stream: configure, write, read.
var readerMay = [3]string{`^$`, `^$`, `^composerp\.stream$`}

// As docs/howto/read-the-stream.md tells: a client of another language replays the log from its first event, goes on
// with new ones, and begins again at an offset or a time.
func TestReplayFromTheStream(t *testing.T) {
	t.Parallel()
	if why := missingForNode(); why != "" {
		t.Skipf("SKIPPED, AND NOT PROVEN: replay.mjs: %s", why)
	}
	guide, err := os.ReadFile("../howto/read-the-stream.md")
	if err != nil {
		t.Fatal(err)
	}
	if may := fmt.Sprintf("'%s' '%s' '%s'", readerMay[0], readerMay[1], readerMay[2]); !strings.Contains(string(guide), may) {
		t.Errorf("docs/howto/read-the-stream.md does not give the permissions %s", may)
	}
	f := startFleet(t)
	f.sells(t, "A1", "A2", "A3")
	var state struct {
		On      bool
		Waiting int64
	}
	f.composerp(t, &state, "stream", "enable", "--from", "beginning", "--reason", "a test")
	if !state.On {
		t.Fatal("the stream is off")
	}
	var differences []topology.Difference
	if f.composerp(t, &differences, "topology", "diff"); len(differences) > 0 {
		t.Errorf("the broker differs: %+v", differences)
	}
	reader := f.user("reader", readerMay)
	replay := func(from string) output { return f.start(t, reader, "node", "node/replay.mjs", from) }
	first := replay("first")
	var offset string
	for _, id := range []string{"A1", "A2", "A3"} {
		offset, _, _ = strings.Cut(first.wait(t, saleID(id)), " ")
	}
	f.sells(t, "A4")
	first.wait(t, saleID("A4"))
	var proof struct{ Result string }
	f.composerp(t, &proof, "audit") // what is in the stream is not in flight
	at := replay(offset)
	if line := at.wait(t, "_"); !strings.HasSuffix(line, saleID("A3")) {
		t.Errorf("from offset %s on the first message is %q", offset, line)
	}
	replay(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)).wait(t, saleID("A4"))
	next := replay("next")
	next.wait(t, "attached")
	f.sells(t, "A5")
	next.wait(t, saleID("A5"))
	if f.composerp(t, &state, "stream", "disable", "--delete"); state.On {
		t.Error("the stream is on")
	}
	if f.composerp(t, &differences, "topology", "diff"); len(differences) > 0 {
		t.Errorf("the broker differs: %+v", differences)
	}
}

// saleID is the event id of a sale of this test.
func saleID(name string) string { return uuid.NewSHA1(uuid.Nil, []byte(name)).String() }

// sells publishes a sale each.
func (f *fleet) sells(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		command := exec.Command(f.program, "publish", "SALE_COMPLETED", "--id", saleID(name), "--data", fmt.Sprintf(
			`{"saleId":%q,"itemId":"TEA","locationId":"SHOP-1","quantity":1,"amount":2.5,"timestamp":"2026-02-01T10:00:00Z"}`, name))
		command.Env = f.env
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("publishing %s: %v\n%s", name, err, out)
		}
	}
}
