package scaler_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/autoscaler"
	"github.com/composerp/composerp/workers/runtime/scaler"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// orderedFleet is a fleet of one ordered worker. For each event that it handles it emits one of the same aggregate and
// sequence, so that the log has the order in which the events had their effect.
type orderedFleet struct {
	*workertest.Env
	worker worker.Worker

	mu     sync.Mutex
	refuse map[string]error // by aggregate: what the handler returns

	sent map[string]int64 // events by aggregate

	before func(context.Context) // called by the handler first, if set
	// Of decisions for pools in mode auto; zero: as in earnest.
	interval time.Duration
	now      func() time.Time
}

func newOrderedFleet(t *testing.T, options ...worker.Option) *orderedFleet {
	t.Helper()
	f := &orderedFleet{refuse: map[string]error{}, sent: map[string]int64{}}
	handle := worker.OnBatch(func(ctx context.Context, tx *worker.Tx, events []event.Any) error {
		if f.before != nil {
			f.before(ctx)
		}
		for _, e := range events {
			f.mu.Lock()
			err := f.refuse[e.AggregateID]
			f.mu.Unlock()
			if err != nil {
				return err
			}
			effect := event.InventoryLowStock{ItemID: "cup", LocationID: "shop", Available: event.NewDecimal(0), Threshold: event.NewDecimal(1)}
			if err := tx.For(e.Envelope).Emit(e.AggregateID, e.Metadata.Sequence, effect); err != nil {
				return err
			}
		}
		return nil
	}, event.TypeForecastGenerated)
	f.worker = worker.New("view", append([]worker.Option{handle, worker.Ordered(), worker.Batch(10, 50), worker.RetryDelays(200 * time.Millisecond)}, options...)...)
	f.Env = workertest.NewEnv(t, f.worker)
	f.StartTicker()
	f.StartRelay()
	return f
}

// join starts a node with that many slots by its flags.
func (f *orderedFleet) join(id string, slots int) *member {
	f.Helper()
	return f.joinBy(id, slots, f.URL, f.Broker)
}

// joinBy starts a node that reaches the database by that URL, and the broker so for what it does as the leader.
func (f *orderedFleet) joinBy(id string, slots int, url string, broker rabbitmq.Config) *member {
	f.Helper()
	r := &worker.Runner{Worker: f.worker, DB: storetest.Open(f, url, 12), Broker: f.Broker, Node: id, Slots: slots}
	db := storetest.Open(f, url, 4)
	m := &member{runner: r, id: id}
	m.Part = f.Start("node "+id, func(ctx context.Context, p *workertest.Part) error {
		r.Log, r.Metrics = p.Logs.Logger(), worker.NewMetrics(p.Metrics)
		n := &scaler.Node{DB: db, Hints: db.Listen(ctx, scaling.Channel), Runners: []*worker.Runner{r}, Log: p.Logs.Logger(),
			Broker: broker, Metrics: scaler.NewMetrics(p.Metrics), Interval: f.interval, Now: f.now, Self: scaling.Node{ID: id, Host: "test", Version: "test", Capacity: 20}}
		n.Attach()
		left := make(chan error, 1)
		go func() { left <- n.Run(ctx) }()
		if err := r.Run(ctx); err != nil {
			return err
		}
		return <-left
	})
	return m
}

// send logs the next events of aggregates, mixed.
func (f *orderedFleet) send(aggregates, each int) {
	f.Helper()
	var events []event.Any
	for range each {
		for a := range aggregates {
			name := fmt.Sprintf("aggregate-%02d", a)
			f.sent[name]++
			events = append(events, f.next(name, f.sent[name]))
		}
	}
	f.Admit(events...)
}

func (f *orderedFleet) next(aggregate string, sequence int64) event.Any {
	return workertest.Event(f, event.ForecastGenerated{
		ItemID: "cup", LocationID: "shop", ModelType: "BASELINE", ForecastCount: 1, StartDate: "2024-03-01", EndDate: "2024-03-01", DailyDemand: []event.Decimal{event.NewDecimal(1)},
	}, func(env *event.Envelope) {
		env.AggregateID, env.Metadata.Sequence = aggregate, sequence
	})
}

// set sets the lanes and waits until they are as wanted, each with a node.
func (f *orderedFleet) set(n int) {
	f.Helper()
	storetest.MustGet(lanes.Want(f.Context(), f.DB, by, "view", n))(f)
	f.settled(n)
}

func (f *orderedFleet) settled(n int) {
	f.Helper()
	f.Eventually(fmt.Sprintf("%d lanes are handled", n), func() bool {
		sets, err := lanes.Sets(f.Context(), f.DB)
		if err != nil {
			return false
		}
		s := lanes.Of(sets, "view")
		return s.Settled() && s.Consumed == n && f.owned() == n
	})
}

func (f *orderedFleet) owned() int {
	f.Helper()
	return storetest.Value[int](f, f.URL, `SELECT count(*) FROM lane WHERE node IS NOT NULL AND NOT leaving AND lane >= 0`)
}

func (f *orderedFleet) handled() int {
	f.Helper()
	return storetest.Value[int](f, f.URL, `SELECT count(*) FROM event_log WHERE type = 'INVENTORY_LOW_STOCK'`)
}

// backwards counts effects that follow one of the same aggregate with a higher sequence, or the same.
func (f *orderedFleet) backwards() int {
	f.Helper()
	return storetest.Value[int](f, f.URL, `
SELECT count(*) FROM (
    SELECT (body::jsonb #>> '{metadata,sequence}')::bigint AS n, lag((body::jsonb #>> '{metadata,sequence}')::bigint) OVER (PARTITION BY aggregate_id ORDER BY seq) AS before
    FROM event_log WHERE type = 'INVENTORY_LOW_STOCK') e
WHERE n <= before`)
}

// wantInOrder waits until all events but some have had their effect, and fails unless each aggregate had them in
// order.
func (f *orderedFleet) wantInOrder(but int) {
	f.Helper()
	all := -but
	for _, n := range f.sent {
		all += int(n)
	}
	f.Eventually(fmt.Sprintf("%d events are handled", all), func() bool { return f.handled() >= all })
	if n := f.handled(); n != all {
		f.Errorf("%d events had their effect, want %d", n, all)
	}
	if n := f.backwards(); n > 0 {
		f.Errorf("%d events had their effect after a later one of their aggregate", n)
	}
}

// The number of lanes changes while events flow and nodes come and go: each aggregate's events keep their order, and
// none is lost or handled twice.
func TestLanesKeepOrderWhileTheyAreSwitched(t *testing.T) {
	t.Parallel()
	f := newOrderedFleet(t)
	one, two := f.join("one", 2), f.join("two", 3)
	f.Eventually("slots run", func() bool { return one.slots() == 2 && two.slots() == 3 })
	f.set(16) // before there are events: what is handled without lanes has no order
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				f.send(20, 3)
				// As fast as it is handled.
				localtest.Await(storetest.Timeout, func() bool { return f.handled()+300 >= 20*int(f.sent["aggregate-00"]) || t.Context().Err() != nil })
			}
		}
	}()
	f.set(32)
	f.join("three", 4)
	f.set(8)
	f.Eventually("the third node has lanes", func() bool {
		return storetest.Value[int](t, f.URL, `SELECT count(*) FROM lane WHERE node = 'three' AND NOT leaving`) >= 4
	})
	two.End()
	f.settled(8)
	storetest.MustGet(scaling.Drain(t.Context(), f.DB, by, "three", true))(t)
	f.Eventually("the third node has none", func() bool {
		return storetest.Value[int](t, f.URL, `SELECT count(*) FROM lane WHERE node = 'three'`) == 0
	})
	f.set(16)
	close(stop)
	<-stopped
	f.wantInOrder(0)
	f.set(0)
	if q := topology.LaneQueueName("view", 0, 16); !f.queueIsGone(q) {
		t.Errorf("%s is still there", q)
	}
	f.send(20, 1)
	f.Eventually("without lanes events are handled", func() bool { return f.handled() == int(f.sent["aggregate-00"])*20 })
}

func (f *orderedFleet) queueIsGone(name string) bool {
	f.Helper()
	_, _, err := f.Session().Depth(name)
	return err != nil
}

// A lane may be given to a node and taken back before the node has read of it: when the node is drained at once, when
// another joins, or when its session was lost while it left. It gives up what it has not begun.
func TestALaneIsGivenUpBeforeItIsBegun(t *testing.T) {
	t.Parallel()
	f := newOrderedFleet(t)
	f.join("one", 2)
	f.set(4)
	storetest.Exec(t, f.URL, `UPDATE lane SET term = nextval('lane_term'), leaving = true WHERE lane >= 0`)
	f.settled(4)
	f.send(20, 1)
	f.wantInOrder(0)
}

// Sessions break and nodes are cut off from the database for longer than their lease, at random, while events flow.
func TestLanesKeepOrderWhileNodesFail(t *testing.T) {
	t.Parallel()
	f := newOrderedFleet(t)
	line := workertest.NewLink(f, f.URL)
	f.join("steady", 2)
	f.set(16)
	f.joinBy("lonely", 2, line.URL, f.Broker)
	f.Eventually("both have lanes", func() bool {
		return storetest.Value[int](t, f.URL, `SELECT count(DISTINCT node) FROM lane WHERE NOT leaving`) == 2
	})
	f.send(20, 10)
	line.Break()
	f.send(20, 10)
	f.Eventually("the other has all lanes", func() bool {
		return storetest.Value[int](t, f.URL, `SELECT count(*) FROM lane WHERE node = 'steady'`) == 17
	})
	f.send(20, 10)
	line.Restore()
	f.Eventually("it has lanes again", func() bool {
		return storetest.Value[int](t, f.URL, `SELECT count(*) FROM lane WHERE node = 'lonely'`) > 0
	})
	f.send(20, 10)
	for i := range 3 {
		other := f.join(fmt.Sprintf("brief-%d", i), 1+rand.IntN(3))
		f.send(20, 3)
		f.Eventually("it has a lane", func() bool {
			return storetest.Value[bool](t, f.URL, `SELECT EXISTS (SELECT FROM lane WHERE node LIKE 'brief%')`)
		})
		other.End()
	}
	f.wantInOrder(0)
}

// An event that fails holds its aggregate and no other, through its retries, its death and switches of lanes; once it
// is redriven, the rest follows in order.
func TestAFailedEventHoldsItsAggregate(t *testing.T) {
	t.Parallel()
	f := newOrderedFleet(t, worker.Quarantine(0, 0))
	f.join("one", 2)
	f.set(16)
	const poison = "aggregate-07"
	f.fail(poison, errors.New("not today"))
	f.send(10, 6)
	f.wantInOrder(6)
	f.Eventually("the first is dead", func() bool { return f.Depth(topology.DeadQueueName("view")) == 1 })
	f.set(4)
	f.send(10, 3)
	f.wantInOrder(9)
	if n := storetest.Value[int](t, f.URL, `SELECT count(*) FROM parked_event`); n != 8 {
		t.Errorf("%d events are parked, want the 8 behind the first", n)
	}
	f.fail(poison, nil)
	f.redrive()
	f.wantInOrder(0)
	in := func(s delay.Stage) (n int) {
		for _, late := range storetest.MustGet(delays.Newest(t.Context(), f.DB, 0))(t) {
			x := storetest.MustGet(delays.Explain(t.Context(), f.DB, late.EventID, nil))(t)
			for _, d := range x.Deliveries {
				n += len(slices.DeleteFunc(d.Stages, func(of delays.Spent) bool { return of.Stage != s.String() }))
			}
		}
		return n
	}
	if parked, dead := in(delay.Parked), in(delay.DeadLetter); parked != 8 || dead != 1 {
		t.Errorf("where their time went says that %d were parked and %d dead, want the 8 and the first", parked, dead)
	}
	f.fail(poison, errors.New("not today either"))
	f.send(10, 4)
	f.wantInOrder(4)
	f.Eventually("the first is dead", func() bool { return f.Depth(topology.DeadQueueName("view")) == 1 })
	f.set(0) // what was held stays held without lanes
	f.fail(poison, nil)
	f.redrive()
	f.wantInOrder(0)
	if n := storetest.Value[int](t, f.URL, `SELECT (SELECT count(*) FROM parked_event) + (SELECT count(*) FROM held_aggregate)`); n != 0 {
		t.Errorf("%d rows are left of what was held", n)
	}
}

func (f *orderedFleet) fail(aggregate string, with error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse[aggregate] = with
}

// redrive sends the dead letters of the worker back to it.
func (f *orderedFleet) redrive() {
	f.Helper()
	for _, d := range f.Receive(topology.DeadQueueName("view"), f.Depth(topology.DeadQueueName("view"))) {
		m := d.Message
		m.Exchange, m.RoutingKey = topology.Retry, topology.QueueName("view")
		f.Send(m)
	}
}

// A lane that takes no consumer gets no event: while one does not answer, the leader binds none of the new lanes,
// and deletes that one; the worker goes on without lanes.
func TestLanesAnswerBeforeTheyAreBound(t *testing.T) {
	t.Parallel()
	f := newOrderedFleet(t)
	leader := f.Broker
	user := rabbitmqtest.User(t, f.Broker, "secret")
	u := storetest.MustGet(url.Parse(f.Broker.URLs[0]))(t)
	u.User = url.UserPassword(user, "secret")
	leader.URLs = []string{u.String()}
	dead := topology.LaneQueueName("view", 2, 4)
	// It may not consume there. To declare a queue with a dead-letter exchange takes the same permission, so these are.
	f.Must(rabbitmq.Apply(t.Context(), topology.Topology{Queues: topology.LaneQueues("view", 4)}, f.Broker))
	rabbitmqtest.Restrict(t, f.Broker, user, ".*", ".*", `^(?!`+regexp.QuoteMeta(dead)+`$).*`)
	one := f.joinBy("one", 2, f.URL, leader)
	f.Eventually("slots run", func() bool { return one.slots() == 2 })
	storetest.MustGet(lanes.Want(t.Context(), f.DB, by, "view", 4))(t)
	f.Eventually("the leader says that a lane does not answer", func() bool { return one.Logs.Has("a new queue does not answer") })
	f.Eventually("the lane is deleted", func() bool { return f.queueIsGone(dead) })
	f.send(8, 2)
	f.Eventually("events are handled", func() bool { return f.handled() == 16 })
	if routed := storetest.Value[int](t, f.URL, `SELECT routed FROM lane_set`); routed != 0 {
		t.Errorf("events are routed to %d lanes", routed)
	}
	have := storetest.MustGet(rabbitmqtest.Management(t).Topology(t.Context(), rabbitmqtest.VhostOf(t, f.Broker)))(t)
	for _, b := range have.Bindings {
		if topology.IsLane(b.Queue) {
			t.Errorf("%s is bound", b.Queue)
		}
	}
	rabbitmqtest.Restrict(t, f.Broker, user, ".*", ".*", ".*")
	f.settled(4)
}

// A queue in mode auto gets no more slots than it has lanes, sleeps without a node for them, wakes by a switch and by a
// message, and keeps the order of aggregates.
func TestTheAutoscalerKnowsLanes(t *testing.T) {
	t.Parallel()
	f := newOrderedFleet(t, worker.Batch(1, 20))
	f.before = slow
	began := time.Now()
	f.interval = autoscaler.Interval / hurry
	f.now = func() time.Time { return began.Add(hurry * time.Since(began)) }
	least, most, drain := 0, 12, time.Second
	f.join("one", 1)
	f.set(4)
	storetest.MustGet(scaling.SetAuto(t.Context(), f.DB, by, scaling.AutoChange{Queue: "view", Min: &least, Max: &most, Drain: &drain}))(t)
	desired := func() int {
		t.Helper()
		return storetest.Value[int](t, f.URL, `SELECT coalesce(desired, 1) FROM worker_pool WHERE queue = 'view'`)
	}
	asleep := func() bool { return desired() == 0 && f.owned() == 0 }
	f.send(20, 40)
	f.Eventually("it has a slot for each lane", func() bool { return desired() == 4 })
	f.wantInOrder(0)
	f.Eventually("it sleeps", asleep)
	storetest.MustGet(lanes.Want(t.Context(), f.DB, by, "view", 8))(t)
	f.Eventually("lanes are switched", func() bool {
		return lanes.Of(storetest.MustGet(lanes.Sets(t.Context(), f.DB))(t), "view").Consumed == 8
	})
	f.Eventually("it sleeps again", asleep)
	f.send(20, 1)
	f.wantInOrder(0)
	if n := storetest.Value[int](t, f.URL, `SELECT max(after) FROM scale_event WHERE queue = 'view' AND node = ''`); n > 8 {
		t.Errorf("it had %d slots, want no more than lanes", n)
	}
}

// Messages whose header names another lane than theirs, or none, are handled in their own.
func TestTheHeaderOfAnExternalPublisherIsNotBelieved(t *testing.T) {
	t.Parallel()
	f := newOrderedFleet(t)
	f.join("one", 1)
	f.set(4)
	f.send(8, 1) // logged, so that a copy of the type is believed
	f.wantInOrder(0)
	for a := range 8 {
		name := fmt.Sprintf("aggregate-%02d", a)
		e := f.next(name, 2)
		f.sent[name] = 2
		f.AdmitPublished(e)
		m := workertest.Delivery(e).Message
		m.Headers = map[string]any{"x-log-seq": storetest.Value[int64](t, f.URL, `SELECT seq FROM event_log WHERE event_id = $1`, e.ID)}
		if a%2 == 0 {
			m.Headers[topology.HeaderLane] = fmt.Sprint((topology.LaneValue(e.TenantID, name) + 1) % topology.LaneValues)
		}
		f.Send(m)
	}
	f.wantInOrder(0)
}
