package watchdog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/observer"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

const saleKey = "integration.sale_completed"

var subscriptions = []topology.Subscription{
	{Worker: "ledger", RoutingKeys: []string{saleKey}, RetryDelays: []time.Duration{time.Hour}},
	{Worker: "view", RoutingKeys: []string{saleKey}},
	{Worker: "deadletterlog", Queue: topology.DeadLetterLog},
}

var (
	plan  = watchdog.NewPlan(subscriptions, []string{"ledger"})
	begin = time.Date(2026, time.March, 1, 10, 0, 0, 0, time.UTC)
)

// well is a snapshot of a healthy fleet, the given seconds after the beginning, and then changed.
func well(second int, change ...func(*observer.Snapshot)) observer.Snapshot {
	l := observer.Snapshot{At: begin.Add(time.Duration(second) * time.Second), Have: plan.Topology, Seen: true, Figures: true, Exact: true, Queues: map[string]topology.QueueState{},
		Nodes: []management.NodeState{{Name: "rabbit@h", PID: "7", Running: true, DiskFree: 10 << 30, DiskFreeLimit: 1 << 30, MemoryLimit: 1 << 30}},
		Log:   eventlog.Health{TickerHolder: "h#1", RelayHolder: "h#1", End: 100, Covered: 100, Tick: 9, Passed: 9, Place: "9 9 0"}}
	for _, q := range plan.Topology.Queues {
		l.Queues[q.Name] = topology.QueueState{Name: q.Name, Consumers: 1, Counted: true}
	}
	for _, c := range change {
		c(&l)
	}
	return l
}

func queue(name string, change func(*topology.QueueState)) func(*observer.Snapshot) {
	return func(l *observer.Snapshot) {
		q := l.Queues[name]
		change(&q)
		l.Queues[name] = q
	}
}

func node(change func(*management.NodeState)) func(*observer.Snapshot) {
	return func(l *observer.Snapshot) { change(&l.Nodes[0]) }
}

func log(change func(*eventlog.Health)) func(*observer.Snapshot) {
	return func(l *observer.Snapshot) { change(&l.Log) }
}

// told is what was found: "alarm rabbit@h disk; relay (warning)".
func told(found []watchdog.Problem) string {
	var texts []string
	for _, p := range found {
		text := strings.TrimSpace(string(p.Kind) + " " + p.Subject)
		if p.Warning {
			text += " (warning)"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

func says(found []watchdog.Problem, text string) bool {
	for _, p := range found {
		if strings.Contains(p.What+" -> "+p.Do, text) {
			return true
		}
	}
	return false
}

func TestWhatStandsAtOnce(t *testing.T) {
	t.Parallel()
	refused := fmt.Errorf("asking: %w", rabbitmq.ErrAccessRefused)
	without := func(change func(*topology.Topology)) func(*observer.Snapshot) {
		return func(l *observer.Snapshot) { l.Have = topology.Compute(subscriptions); change(&l.Have) }
	}
	for name, c := range map[string]struct {
		change     func(*observer.Snapshot)
		want, what string
	}{
		"all is well":        {func(*observer.Snapshot) {}, "", ""},
		"no database":        {func(l *observer.Snapshot) { l.Database = errors.New("connection refused") }, "database", "connection refused"},
		"no broker":          {func(l *observer.Snapshot) { l.Broker, l.Seen = rabbitmq.ErrUnreachable, false }, "broker", "unreachable"},
		"no virtual host":    {func(l *observer.Snapshot) { l.Broker = refused }, "access", "refuses access"},
		"a permission":       {func(l *observer.Snapshot) { l.Access = refused }, "access", "refuses access"},
		"a node is down":     {node(func(n *management.NodeState) { n.Running, n.DiskAlarm = false, true }), "node rabbit@h", "rabbit@h is down"},
		"a full disk":        {node(func(n *management.NodeState) { n.DiskAlarm, n.DiskFree = true, 1<<20 }), "alarm rabbit@h disk", "1 MB of disk are free, its limit is 1,024 MB"},
		"a disk nearly full": {node(func(n *management.NodeState) { n.DiskFree = 2<<30 - 1 }), "alarm rabbit@h disk (warning)", "2,047 MB of disk free"},
		"no memory":          {node(func(n *management.NodeState) { n.MemoryAlarm, n.MemoryUsed = true, 2<<30 }), "alarm rabbit@h memory", "uses 2,048 MB of memory, its limit is 1,024 MB"},
		"blocked, unseen":    {func(l *observer.Snapshot) { l.Blocked, l.Nodes = "low on memory", nil }, "alarm broker", "low on memory"},
		"blocked, and seen":  {func(l *observer.Snapshot) { l.Blocked = "low on disk"; l.Nodes[0].DiskAlarm = true }, "alarm rabbit@h disk", ""},
		"a missing queue":    {without(func(h *topology.Topology) { h.Queues = h.Queues[1:] }), "topology", "queue composerp.unrouted is missing, and 1 binding with it"},
		"missing, unseen":    {func(l *observer.Snapshot) { l.Have, l.Seen = topology.Topology{}, false }, "topology", "exchange composerp.unrouted"},
		"no snapshot": {func(l *observer.Snapshot) {
			l.Have, l.Seen, l.Broker = topology.Topology{}, false, rabbitmq.ErrUnreachable
		}, "broker", ""},
		"something more":   {without(func(h *topology.Topology) { h.Queues = append(h.Queues, topology.QueueSpec{Name: "composerp.old"}) }), "", ""},
		"another argument": {without(func(h *topology.Topology) { h.Queues[0].Arguments = map[string]any{"x-queue-type": "classic"} }), "mismatch", "x-delivery-limit is nothing, want 1000000"},
		"a policy": {queue("composerp.ledger", func(q *topology.QueueState) {
			q.Policy, q.PolicyName = map[string]any{"message-ttl": 5000.0, "queue-leader-locator": "balanced"}, "policy fast"
		}), "policy policy fast message-ttl composerp.ledger (warning)", "policy fast gives composerp.ledger message-ttl 5000: a message that waits for 5s becomes a dead letter"},
		"a policy that loses": {queue("composerp.unrouted", func(q *topology.QueueState) {
			q.Policy, q.PolicyName = map[string]any{"max-length": 10.0}, "policy short"
		}), "policy policy short max-length composerp.unrouted", "a full queue deletes its oldest messages"},
		"a missing binding":   {without(func(h *topology.Topology) { h.Bindings = h.Bindings[:len(h.Bindings)-1] }), "topology", "binding composerp.dead -> composerp.dead-letter-log"},
		"an exchange without": {without(func(h *topology.Topology) { h.Exchanges[1].Arguments = nil }), "mismatch", "alternate-exchange"},
	} {
		found := plan.Immediate(well(0, c.change))
		if got := told(found); got != c.want || c.what != "" && !says(found, c.what) {
			t.Errorf("%s: %q, want %q and %q: %+v", name, got, c.want, c.what, found)
		}
	}
}

func TestWhatLasts(t *testing.T) {
	t.Parallel()
	no := func(l *observer.Snapshot) {}
	idle := func(n int64) func(*observer.Snapshot) {
		return queue("composerp.view", func(q *topology.QueueState) { q.Consumers, q.Ready = 0, n })
	}
	ledgerIdle := queue("composerp.ledger", func(q *topology.QueueState) { q.Consumers = 0 })
	stuck := func(n int64) func(*observer.Snapshot) {
		return queue("composerp.ledger.retry.1h", func(q *topology.QueueState) { q.MessagesDLX = n })
	}
	unrouted := func(n int64) func(*observer.Snapshot) {
		return queue(topology.Unrouted, func(q *topology.QueueState) { q.Ready = n })
	}
	noRelay := func(unpublished int64) func(*observer.Snapshot) {
		return log(func(w *eventlog.Health) { w.RelayHolder, w.Unpublished = "", unpublished })
	}
	noTicker := func(end int64) func(*observer.Snapshot) {
		return log(func(w *eventlog.Health) { w.TickerHolder, w.End = "", end })
	}
	for name, c := range map[string]struct {
		then, now  func(*observer.Snapshot)
		want, what string
	}{
		"all is well":               {no, no, "", ""},
		"no consumer":               {idle(3), idle(4), "consumers composerp.view", "holds 4 messages and has no consumer"},
		"a consumer came":           {idle(3), no, "", ""},
		"a consumer has just left":  {no, idle(4), "", ""},
		"empty, and runs elsewhere": {idle(0), idle(0), "", ""},
		"empty, and runs here":      {ledgerIdle, ledgerIdle, "consumers composerp.ledger", "although ledger runs"},
		"not counted yet": {queue("composerp.ledger", func(q *topology.QueueState) { q.Consumers, q.Counted = 0, false }), ledgerIdle,
			"", ""},
		"stuck":             {stuck(2), stuck(2), "stuck composerp.ledger.retry.1h", "2 messages"},
		"stuck, and more":   {stuck(2), stuck(3), "stuck composerp.ledger.retry.1h", "3 messages"},
		"stuck, and less":   {stuck(2), stuck(1), "", ""},
		"just stuck":        {no, stuck(1), "", ""},
		"unrouted":          {unrouted(1), unrouted(1), "unrouted composerp.unrouted", "1 event "},
		"no relay":          {noRelay(0), noRelay(0), "relay (warning)", "no relay runs"},
		"no relay, events":  {noRelay(1), noRelay(2), "relay", "2 events to publish"},
		"a new relay":       {noRelay(1), no, "", ""},
		"no ticker":         {noTicker(100), noTicker(100), "ticker (warning)", "no ticker leads"},
		"no ticker, events": {noTicker(101), noTicker(105), "ticker", "there are new events"},
		"a new ticker":      {noTicker(101), no, "", ""},
		"no database":       {noRelay(1), func(l *observer.Snapshot) { noRelay(1)(l); l.Database = errors.New("away") }, "", ""},
	} {
		found := plan.Persistent(well(0, c.then), well(10, c.now))
		if got := told(found); got != c.want || c.what != "" && !says(found, c.what) {
			t.Errorf("%s: %q, want %q and %q: %+v", name, got, c.want, c.what, found)
		}
	}
}

func TestWhatDoesNotMove(t *testing.T) {
	t.Parallel()
	holds := func(name string, ready, acked int64) func(*observer.Snapshot) {
		return queue(name, func(q *topology.QueueState) { q.Ready, q.Acked = ready, acked })
	}
	relay := func(place string, tick, passed, unpublished int64) func(*observer.Snapshot) {
		return log(func(w *eventlog.Health) { w.Place, w.Tick, w.Passed, w.Unpublished = place, tick, passed, unpublished })
	}
	behind := func(place string, d time.Duration, end, unpublished int64) func(*observer.Snapshot) {
		return log(func(w *eventlog.Health) {
			w.Place, w.Tick, w.Passed, w.Behind, w.End, w.Covered, w.Unpublished = place, 9, 8, d, end, end, unpublished
		})
	}
	ticker := func(end, covered, tick int64) func(*observer.Snapshot) {
		return log(func(w *eventlog.Health) { w.End, w.Covered, w.Tick, w.Passed = end, covered, tick, tick })
	}
	const q = "composerp.ledger"
	for name, c := range map[string]struct {
		then, now  func(*observer.Snapshot)
		want, what string
	}{
		"all is well":  {holds(q, 0, 5), holds(q, 0, 5), "", ""},
		"no progress":  {holds(q, 7, 5), holds(q, 8, 5), "progress " + q, "holds 8 messages, and nothing was acknowledged by its 1 consumer for 10s"},
		"progress":     {holds(q, 7, 5), holds(q, 9, 6), "", ""},
		"new figures":  {holds(q, 7, 5), holds(q, 9, 0), "", ""},
		"just arrived": {holds(q, 0, 5), holds(q, 9, 5), "", ""},
		"no figures":   {holds(q, 7, 5), func(l *observer.Snapshot) { holds(q, 8, 5)(l); l.Figures = false }, "", ""},
		"old figures":  {holds(q, 7, 5), func(l *observer.Snapshot) { holds(q, 8, 5)(l); l.Exact = false }, "", ""},
		"no consumer": {holds(q, 7, 5), func(l *observer.Snapshot) {
			queue(q, func(q *topology.QueueState) { q.Ready, q.Acked, q.Consumers = 8, 5, 0 })(l)
		}, "", ""},
		"dead-letter log":  {holds(topology.DeadLetterLog, 1, 0), holds(topology.DeadLetterLog, 1, 0), "deadletterlog " + topology.DeadLetterLog, "1 dead letter not recorded for 10s"},
		"the relay stands": {relay("8 9 5", 9, 8, 4), relay("8 9 5", 12, 8, 6), "relay", "has not moved for 10s, with 6 events to publish"},
		"the relay moves":  {relay("8 9 5", 9, 8, 4), relay("8 9 6", 12, 8, 6), "", ""},
		"it falls behind": {behind("8 9 5", 11*time.Second, 1000, 500), behind("8 9 6", 12*time.Second, 1200, 600), "relay (warning)",
			"publishes 10 events a second and is 12s behind with 600 -> nothing while a file is imported"},
		"it catches up": {behind("8 9 5", 11*time.Second, 1000, 500), behind("8 9 6", 12*time.Second, 1200, 400), "relay (warning)",
			"publishes 30 events a second and is 12s behind with 400 -> nothing: at this speed it has caught up in about 40s"},
		"it has just caught up": {behind("8 9 5", 11*time.Second, 1000, 500), behind("8 9 6", time.Second, 1200, 4), "", ""},
		"it has passed all":     {relay("9 9 0", 9, 9, 4), relay("9 9 0", 9, 9, 6), "", ""},
		"nothing to publish":    {relay("8 8 0", 9, 8, 0), relay("8 8 0", 9, 8, 0), "", ""},
		"no ticks":              {ticker(101, 100, 9), ticker(105, 100, 9), "ticker", "has not ticked for 10s"},
		"nothing to tell":       {ticker(100, 100, 9), ticker(100, 100, 9), "", ""},
		"it ticks":              {ticker(101, 100, 9), ticker(105, 103, 10), "", ""},
		"an event just now":     {ticker(100, 100, 9), ticker(105, 100, 9), "", ""},
	} {
		found := plan.Stalled(well(0, c.then), well(10, c.now))
		if got := told(found); got != c.want || c.what != "" && !says(found, c.what) {
			t.Errorf("%s: %q, want %q and %q: %+v", name, got, c.want, c.what, found)
		}
		if moving := c.want != ""; moving && !plan.Busy(well(0, c.then)) && !strings.HasPrefix(c.want, "deadletterlog") {
			t.Errorf("%s: a first look does not show that a second one is worth it", name)
		}
	}
	if plan.Busy(well(0)) {
		t.Error("where all is well a second look is worth the wait")
	}
}

func TestWhatHangs(t *testing.T) {
	t.Parallel()
	const q = "composerp.ledger"
	hand := func(unacked, acked int64) func(*observer.Snapshot) {
		return queue(q, func(q *topology.QueueState) { q.Unacked, q.Acked = unacked, acked })
	}
	for name, c := range map[string]struct {
		then, now func(*observer.Snapshot)
		want      string
	}{
		"all is well": {hand(0, 5), hand(0, 5), ""},
		"it hangs":    {hand(250, 5), hand(250, 5), "progress " + q},
		"it works":    {hand(250, 5), hand(250, 6), ""},
		"just taken":  {hand(0, 5), hand(250, 5), ""},
		"given back":  {hand(250, 5), hand(0, 5), ""},
		"no figures":  {hand(250, 5), func(l *observer.Snapshot) { hand(250, 5)(l); l.Figures = false }, ""},
		"it has gone": {hand(250, 5), func(l *observer.Snapshot) {
			queue(q, func(q *topology.QueueState) { q.Unacked, q.Acked, q.Consumers = 250, 5, 0 })(l)
		}, ""},
	} {
		found := plan.Unacknowledged(well(0, c.then), well(60, c.now))
		if got := told(found); got != c.want || c.want != "" && !says(found, "250 messages of "+q+" in hand, and none acknowledged for 1m0s") {
			t.Errorf("%s: %q, want %q: %+v", name, got, c.want, found)
		}
	}
}

func TestWhenTheDiskWillBeFull(t *testing.T) {
	t.Parallel()
	bytes := func(ledger, view int64) func(*observer.Snapshot) {
		return func(l *observer.Snapshot) {
			queue("composerp.ledger", func(q *topology.QueueState) { q.Bytes, q.Ready, q.Consumers = ledger, ledger>>10, 0 })(l)
			queue("composerp.view", func(q *topology.QueueState) { q.Bytes = view })(l)
		}
	}
	const mb = 1 << 20
	for name, c := range map[string]struct {
		then, now  func(*observer.Snapshot)
		want, what string
	}{
		"at rest":           {bytes(5*mb, 0), bytes(5*mb, 0), "", ""},
		"shrinking":         {bytes(5*mb, 0), bytes(4*mb, 0), "", ""},
		"one for the other": {bytes(0, 900*mb), bytes(500*mb, 0), "", ""},
		"9 GB in 7.7 h":     {bytes(0, 0), bytes(20*mb, 0), "", ""},
		"9 GB in 2.6 h":     {bytes(0, 0), bytes(60*mb, 0), "growth rabbit@h (warning)", "grow by 1,024 kB a second, most of all composerp.ledger (61,440 messages, 0 consumers)"},
		"within the hour":   {bytes(0, 0), bytes(600*mb, 60*mb), "growth rabbit@h", "the disk of rabbit@h, which has 9,216 MB left, is full in 14m0s"},
		"no room":           {bytes(0, 0), func(l *observer.Snapshot) { bytes(mb, 0)(l); l.Nodes[0].DiskFree = 0 }, "growth rabbit@h", "is full in 0s"},
		"nodes unseen":      {bytes(0, 0), func(l *observer.Snapshot) { bytes(900*mb, 0)(l); l.Nodes = nil }, "", ""},
		"the least room": {bytes(0, 0), func(l *observer.Snapshot) {
			bytes(60*mb, 0)(l)
			l.Nodes = append(l.Nodes, management.NodeState{Name: "rabbit@i", PID: "8", Running: true, DiskFree: 2 << 30, DiskFreeLimit: 1 << 30})
		}, "growth rabbit@i", "1,024 MB left"},
		"a node that has just started": {bytes(0, 0), func(l *observer.Snapshot) {
			bytes(20*mb, 0)(l)
			l.Nodes = append(l.Nodes, management.NodeState{Name: "rabbit@i", Running: true})
		}, "", ""},
		"a node that is off": {bytes(0, 0), func(l *observer.Snapshot) {
			bytes(20*mb, 0)(l)
			l.Nodes = append(l.Nodes, management.NodeState{Name: "rabbit@i"})
		}, "", ""},
	} {
		found := plan.Growing(well(0, c.then), well(60, c.now))
		if got := told(found); got != c.want || c.what != "" && !says(found, c.what) {
			t.Errorf("%s: %q, want %q and %q: %+v", name, got, c.want, c.what, found)
		}
	}
	if found := plan.Growing(well(0, bytes(0, 0)), well(0, bytes(900*mb, 0))); len(found) > 0 {
		t.Errorf("of one moment it says %+v", found)
	}
}

func TestWhoLosesWhat(t *testing.T) {
	t.Parallel()
	event := topology.BindingSpec{Exchange: topology.Events, Queue: "composerp.ledger", RoutingKey: saleKey}
	own := topology.BindingSpec{Exchange: topology.Retry, Queue: "composerp.ledger", RoutingKey: "composerp.ledger"}
	queue := func(name string) []topology.QueueSpec { return []topology.QueueSpec{{Name: name}} }
	for name, c := range map[string]struct {
		missing topology.Topology
		want    string
	}{
		"nothing":                 {topology.Topology{}, "map[]"},
		"a binding":               {topology.Topology{Bindings: []topology.BindingSpec{event}}, "map[ledger:false]"},
		"the queue":               {topology.Topology{Queues: queue("composerp.ledger"), Bindings: []topology.BindingSpec{event, own}}, "map[ledger:true]"},
		"a retry queue":           {topology.Topology{Queues: queue("composerp.ledger.retry.1h")}, "map[ledger:true]"},
		"its dead letters":        {topology.Topology{Queues: queue("composerp.ledger.dead")}, "map[]"},
		"all bindings":            {topology.Topology{Bindings: []topology.BindingSpec{event, own}}, "map[ledger:true]"},
		"with composerp.retry":    {topology.Topology{Exchanges: []topology.ExchangeSpec{{Name: topology.Retry}}, Bindings: []topology.BindingSpec{own}}, "map[]"},
		"the dead-letter log's":   {topology.Topology{Queues: queue(topology.DeadLetterLog)}, "map[deadletterlog:true]"},
		"everything":              {plan.Topology, "map[deadletterlog:true ledger:true view:true]"},
		"a stranger's, or an old": {topology.Topology{Queues: queue("composerp.old")}, "map[]"},
		"unrouted":                {topology.Topology{Queues: queue(topology.Unrouted)}, "map[]"},
	} {
		if got := fmt.Sprint(plan.Affected(c.missing)); got != c.want {
			t.Errorf("while %s is missing: %s, want %s", name, got, c.want)
		}
	}
}
