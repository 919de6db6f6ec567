package cli_test

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// host is a machine of its own as far as the network goes: a network namespace, whose cables lead to the servers.
type host struct {
	*environment
	namespace string
	cables    []*cable
	env       []string // with URLs that lead over the first cable
	fleet     *fleet
}

// cable is one of a host's.
type cable struct {
	*host
	device string // its end on the servers' side
	ours   string // the address of that end
}

// ip runs ip(8).
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// newHost makes a host with a cable, and skips the test where that takes privileges that it does not have.
func (h *environment) newHost() *host {
	h.Helper()
	o := &host{environment: h, namespace: fmt.Sprintf("composerp-%08x", number())}
	if err := ip("netns", "add", o.namespace); err != nil {
		h.Skipf("NOT TESTED: nodes on several hosts; no network namespace can be made here, run as root: %v", err)
	}
	h.Cleanup(func() { _ = ip("netns", "delete", o.namespace) }) // and with it both ends of each cable
	storetest.Must(h, ip("-netns", o.namespace, "link", "set", "lo", "up"))
	o.plugIn()
	o.env = o.variablesOver(o.cables[0].reach(h.database))
	return o
}

func number() uint32 {
	var random [4]byte
	rand.Read(random[:])
	return binary.BigEndian.Uint32(random[:])
}

// plugIn gives the host another cable. It knows its other end for good, as a host knows its router: what is silent
// there is not unreachable.
func (o *host) plugIn() *cable {
	o.Helper()
	n := number()
	ours, theirs := ends(n)
	c := &cable{host: o, device: fmt.Sprintf("cerp%08x", n), ours: ours.String()}
	inside := fmt.Sprintf("eth%d", len(o.cables))
	for _, args := range [][]string{
		{"link", "add", c.device, "type", "veth", "peer", "name", inside, "netns", o.namespace},
		{"address", "add", c.ours + "/30", "dev", c.device},
		{"link", "set", c.device, "up"},
		{"-netns", o.namespace, "address", "add", theirs.String() + "/30", "dev", inside},
		{"-netns", o.namespace, "link", "set", inside, "up"},
	} {
		storetest.Must(o, ip(args...))
	}
	hardware, err := os.ReadFile("/sys/class/net/" + c.device + "/address")
	storetest.Must(o, err)
	storetest.Must(o, ip("-netns", o.namespace, "neighbour", "add", c.ours, "lladdr", strings.TrimSpace(string(hardware)), "dev", inside, "nud", "permanent"))
	o.cables = append(o.cables, c)
	return c
}

// variablesOver are the settings of a program on the host, whose database has this URL.
func (o *host) variablesOver(database string) []string {
	o.Helper()
	return append(cleanEnv(), "COMPOSERP_METRICS_ADDR=127.0.0.1:0", "COMPOSERP_DATABASE_URL="+database, "COMPOSERP_AMQP_URL="+o.cables[0].reach(o.broker.URLs[0]))
}

// ends are the addresses of a cable: one of the networks of four addresses in 198.18.0.0/15, which is for tests (RFC
// 2544).
func ends(number uint32) (ours, theirs netip.Addr) {
	base := uint32(198)<<24 | uint32(18)<<16 | number%(1<<15)<<2
	address := func(host uint32) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, base+host)))
	}
	return address(1), address(2)
}

// reach gives the URL by which the host reaches a server over the cable.
func (c *cable) reach(server string) string {
	c.Helper()
	p, through, err := proxy.BeforeAt(c.ours, server)
	storetest.Must(c, err)
	c.Cleanup(p.Close)
	return through
}

// pull pulls the cable: nothing gets through, and no connection is closed. putBack puts it back.
func (c *cable) pull()    { c.Helper(); storetest.Must(c, ip("link", "set", c.device, "down")) }
func (c *cable) putBack() { c.Helper(); storetest.Must(c, ip("link", "set", c.device, "up")) }

// start runs a part of the fleet on the host, and returns when it has said what it says once it runs.
func (o *host) start(says string, args ...string) {
	o.Helper()
	path, err := program()
	storetest.Must(o, err)
	o.fleet = o.environment.start("ip", o.env, says, append([]string{"netns", "exec", o.namespace, path}, args...)...)
	o.fleet.isUp(o.T)
}

// node is the id of the host's node.
func (o *host) node() string {
	o.Helper()
	return storetest.Value[string](o, o.database, `SELECT id FROM worker_node WHERE id LIKE '%#' || $1`, fmt.Sprint(o.fleet.cmd.Process.Pid))
}

// TestNodesOnSeveralHosts cuts the cable of one of three hosts while each has batches in hand: its slots are taken over
// within 20 s, all has its effect once, and the host works again when the cable is back.
func TestNodesOnSeveralHosts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	h := newEnvironment(t)
	hosts := []*host{h.newHost(), h.newHost(), h.newHost()}
	f := h.up()
	for _, o := range hosts {
		o.start("metrics at", "worker", "run", "ledger", "--max-slots", "8", "--labels", "zone=away")
	}
	h.until("the hosts are nodes", func() bool {
		return storetest.Value[int](h, h.database, `SELECT count(*) FROM worker_node WHERE labels @> ARRAY['zone=away'] AND lease_until > clock_timestamp()`) == len(hosts)
	})
	h.ok("scale", "ledger=6", "--on", "zone=away", "--wait")
	for _, o := range hosts {
		if n := h.slots(o.node()); n != 2 {
			t.Errorf("%s runs %d of 6 slots, want 2", o.node(), n)
		}
	}
	storetest.Exec(t, h.database, slowBatches)
	h.sell(3000)
	h.until("every slot has a batch in hand", func() bool { return h.sleeping() == 6 })
	lost := hosts[1].node()
	hosts[1].cables[0].pull()
	cut := time.Now()
	storetest.Exec(t, h.database, `DROP TRIGGER slow ON movement`) // as soon as the batches in hand are done, or given up
	h.until("the lost host's slots are taken over", func() bool { return h.slots(lost) == 0 && h.slots("") >= 6 })
	if took := time.Since(cut); took > localtest.Deadline(20*time.Second) {
		t.Errorf("its slots were taken over after %s", took)
	} else {
		t.Logf("its slots were taken over after %s", took)
	}
	h.until("all has had its effect", func() bool { return h.soldOnce() == 3000 })
	t.Logf("all has had its effect %s after the cut", time.Since(cut))
	hosts[1].cables[0].putBack()
	h.until("the host is back", func() bool {
		return storetest.Value[bool](h, h.database, `SELECT EXISTS (SELECT FROM worker_node WHERE id = $1 AND lease_until > clock_timestamp())`, lost)
	})
	h.ok("scale", "ledger=9", "--on", "zone=away", "--wait")
	if n := h.slots(lost); n == 0 {
		t.Error("of 9 slots none runs on the host that is back")
	}
	h.sell(1000)
	h.until("all has had its effect", func() bool { return h.soldOnce() == 4000 })
	h.proven()
	for _, o := range hosts {
		o.fleet.stop(t)
	}
	f.stop(t)
}

// slowBatches has every batch of the ledger take three seconds.
const slowBatches = `
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(3); RETURN NULL; END$$;
CREATE TRIGGER slow BEFORE INSERT ON movement FOR EACH STATEMENT EXECUTE FUNCTION slow()`

// sell admits that many sales to the log, each of an item of its own: no batch waits for another's rows.
func (h *environment) sell(n int) {
	h.Helper()
	sales := make([]event.Any, n)
	for i := range sales {
		sales[i] = workertest.Sale(h, uuid.NewString(), "shop", "1")
	}
	_, err := eventlog.AdmitOnce(h.Context(), storetest.Open(h, h.database, 1), sales, true)
	storetest.Must(h, err)
}

// sleeping is how many batches are in hand that slowBatches holds.
func (h *environment) sleeping() int {
	h.Helper()
	return storetest.Value[int](h, h.database, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`)
}

// soldOnce is how many sales have moved stock, once each; one that did so twice counts as none of them did.
func (h *environment) soldOnce() int {
	h.Helper()
	return storetest.Value[int](h, h.database, `
SELECT CASE WHEN count(*) = 2 * count(DISTINCT event_id) AND coalesce((SELECT -sum(on_hand) FROM position WHERE location_id = 'shop'), 0) = count(DISTINCT event_id)
            THEN count(DISTINCT event_id) ELSE -1 END FROM movement`)
}
