package rabbitmq_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

// ids are the ids of a queue's messages from its front, which it removes.
func ids(t testing.TB, session *rabbitmq.Session, queue string, n int) []string {
	t.Helper()
	c, err := session.Consume(queue, "ids."+queue, min(n, 65535))
	must(t, err)
	var found []string
	for len(found) < n {
		some := take(t, c, min(n-len(found), 1000))
		for _, d := range some {
			found = append(found, d.ID)
		}
		must(t, c.Ack(some[len(some)-1]))
	}
	must(t, c.Close())
	return found
}

// browse goes through a queue, removes what matches and keeps the rest.
func browse(t testing.TB, s *rabbitmq.QueueBrowser, matches func(id string) bool) (out int) {
	t.Helper()
	for {
		taken, err := s.Take(testContext(t), 100)
		if errors.Is(err, rabbitmq.ErrDrained) {
			return out
		}
		must(t, err)
		for _, d := range taken {
			if matches(d.ID) {
				must(t, s.Ack(d))
				out++
				continue
			}
			s.Keep(1)
		}
	}
}

// deadSales publishes n messages to the ledger's dead letters.
func deadSales(t testing.TB, session *rabbitmq.Session, from, n int, body string) {
	t.Helper()
	p := publisher(t, session, 1024)
	var confirmations []*rabbitmq.Confirmation
	for i := from; i < from+n; i++ {
		m := sale(i)
		m.Exchange, m.RoutingKey = topology.Dead, ledgerQueue
		if body != "" {
			m.Body = []byte(body)
		}
		confirmations = append(confirmations, publish(t, p, m))
	}
	for _, c := range confirmations {
		must(t, c.Wait(testContext(t)))
	}
	must(t, p.Close())
}

func want(from, n int, left func(i int) bool) []string {
	var list []string
	for i := from; i < from+n; i++ {
		if left(i) {
			list = append(list, sale(i).ID)
		}
	}
	return list
}

func TestABrowserKeepsTheOrder(t *testing.T) {
	t.Parallel()
	dead := topology.DeadQueueName(ledger)
	closed := func(s *rabbitmq.QueueBrowser, _ *rabbitmq.Session) error { _, err := s.Close(); return err }
	died := func(_ *rabbitmq.QueueBrowser, session *rabbitmq.Session) error { return session.Close() }
	for name, c := range map[string]struct {
		n    int
		body string
		end  func(s *rabbitmq.QueueBrowser, session *rabbitmq.Session) error
	}{
		"one window":             {50, "", closed},
		"several windows":        {2000, "", closed},
		"large messages":         {300, strings.Repeat("x", 256<<10), closed},
		"the process deadLetter": {2000, "", died},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := withLedger(t)
			session, other := open(t, config), open(t, config)
			deadSales(t, other, 0, c.n, c.body)
			s, err := session.Browse(dead, "browser")
			must(t, err)
			out := browse(t, s, func(id string) bool { return strings.HasSuffix(id, "7") })
			deadSales(t, other, c.n, 10, "") // they arrive at the end
			must(t, c.end(s, session))
			n := c.n - out + 10
			eventually(t, "all is back", func() bool { return depth(t, other, dead) == n })
			left := func(i int) bool { return i >= c.n || i%10 != 7 }
			if got := ids(t, other, dead, n); out != c.n/10 || !slices.Equal(got, want(0, c.n+10, left)) {
				t.Errorf("of %d messages %d were taken out, and the rest has another order: %s", c.n, out, firstOutOfOrder(got, want(0, c.n+10, left)))
			}
		})
	}
}

func firstOutOfOrder(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("at %d stands %s, not %s", i, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d messages, not %d", len(got), len(want))
}

// A removed message that comes again is behind the end.
func TestABrowserEnds(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	dead := topology.DeadQueueName(ledger)
	deadSales(t, session, 0, 10, "")
	s, err := session.Browse(dead, "browser")
	must(t, err)
	next := 10
	out := browse(t, s, func(string) bool {
		deadSales(t, session, next, 1, "")
		next++
		return true
	})
	returned, err := s.Close()
	must(t, err)
	if returned != 10 {
		t.Errorf("%d came in, and are not told of", returned)
	}
	eventually(t, "what came in stays", func() bool { return depth(t, session, dead) == 10 })
	if out != 10 {
		t.Errorf("%d messages were taken out of 10", out)
	}
}

func TestABrowserDoesNotWaitForOtherConsumers(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	dead := topology.DeadQueueName(ledger)
	deadSales(t, session, 0, 100, "")
	s, err := session.Browse(dead, "browser")
	must(t, err)
	take(t, consumer(t, open(t, config), dead, 40), 40) // and holds them
	if out := browse(t, s, func(string) bool { return true }); out != 60 || s.Left() != 40 {
		t.Errorf("%d were taken out, %d are left", out, s.Left())
	}
	empty, err := session.Browse(dead, "again")
	must(t, err)
	if out := browse(t, empty, func(string) bool { return true }); out != 0 {
		t.Errorf("%d came from an empty queue", out)
	}
	if _, err := session.Browse("composerp.none.dead", "browser"); !errors.Is(err, rabbitmq.ErrMissing) {
		t.Errorf("of a queue that is not there it says %v", err)
	}
}

// A deleted queue ends browsing, however many windows are open.
func TestABrowserOfADeletedQueue(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	dead := topology.DeadQueueName(ledger)
	deadSales(t, session, 0, 1000, "")
	s, err := session.Browse(dead, "browser")
	must(t, err)
	for range 5 {
		taken, err := s.Take(testContext(t), 64)
		must(t, err)
		s.Keep(len(taken))
	}
	_, err = raw(t, config).QueueDelete(dead, false, false, false)
	must(t, err)
	eventually(t, "the walk ends", func() bool {
		_, err = s.Take(testContext(t), 1)
		s.Keep(1)
		return err != nil
	})
	if !errors.Is(err, rabbitmq.ErrConsumerCancelled) && !errors.Is(err, rabbitmq.ErrMissing) {
		t.Errorf("it ends with %v", err)
	}
}

func TestTap(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	c, err := session.Tap(topology.Dead, []string{ledgerQueue, "composerp.intake"}, "composerp.tapped")
	must(t, err)
	deadSales(t, session, 0, 3, "")
	if tapped := take(t, c, 3); tapped[0].ID != sale(0).ID || tapped[2].ID != sale(2).ID {
		t.Errorf("tapped %v", tapped)
	}
	if n := depth(t, session, topology.DeadQueueName(ledger)); n != 3 {
		t.Errorf("%d dead letters are left of 3", n)
	}
	isGone := func() bool {
		_, _, err := open(t, config).Depth("composerp.tapped")
		return errors.Is(err, rabbitmq.ErrMissing)
	}
	must(t, c.Close())
	if !isGone() {
		t.Error("the queue outlives its consumer")
	}
	_, err = session.Tap(topology.Dead, []string{ledgerQueue}, "composerp.tapped")
	must(t, err)
	must(t, session.Close())
	eventually(t, "the queue is gone", isGone)
}
