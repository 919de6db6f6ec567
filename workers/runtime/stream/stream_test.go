package stream_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
	setting "github.com/composerp/composerp/store/stream"
	"github.com/composerp/composerp/workers/runtime/stream"
	"github.com/composerp/composerp/workers/worker/workertest"
)

var (
	by        = operatorlog.By{Operator: "ann", Reason: "a test"}
	retention = topology.Retention{MaxAge: time.Hour, SegmentBytes: 1 << 20}
)

type env struct{ *workertest.Env }

func newEnv(t *testing.T) env {
	h := env{workertest.NewEnv(t)}
	h.StartTicker()
	return h
}

func (h env) enable(beginning bool) {
	h.Helper()
	h.ApplyTopology(topology.StreamOf(retention))
	if changed := storetest.MustGet(setting.Enable(h.Context(), h.DB, by, retention, beginning))(h); !changed {
		h.Fatal("the stream was on")
	}
}

func (h env) run(holder string) *workertest.Part { return h.runAt(h.Broker, holder) }

func (h env) runAt(broker rabbitmq.Config, holder string) *workertest.Part {
	return h.Start("feeder "+holder, func(ctx context.Context, p *workertest.Part) error {
		f := stream.Feeder{DB: h.DB, Broker: broker, Holder: holder, Log: p.Logs.Logger(), Metrics: stream.NewMetrics(p.Metrics)}
		return f.Run(ctx)
	})
}

// reader is a client, and what it has got.
type reader struct {
	env
	from <-chan rabbitmqtest.StreamMessage
	got  []rabbitmqtest.StreamMessage
}

func (h env) attach(offset any) *reader {
	h.Helper()
	return &reader{env: h, from: rabbitmqtest.Attach(h, h.Broker, topology.Stream, offset)}
}

// take waits until the reader has n messages.
func (r *reader) take(n int) []rabbitmqtest.StreamMessage {
	r.Helper()
	r.Eventually("the client gets its messages", func() bool {
		for len(r.got) < n {
			select {
			case m := <-r.from:
				r.got = append(r.got, m)
			default:
				return false
			}
		}
		return true
	})
	return r.got
}

// wantOnce fails unless the messages are these events, in this order, as they stand in the log.
func wantOnce(t *testing.T, got []rabbitmqtest.StreamMessage, events []event.Any) {
	t.Helper()
	if len(got) != len(events) {
		t.Fatalf("the stream has %d messages, want %d", len(got), len(events))
	}
	for i, e := range events {
		if got[i].ID != e.ID.String() || got[i].Type != string(e.Type) || !bytes.Equal(got[i].Body, e.Body) {
			t.Fatalf("message %d is %s, want %s", i, got[i].ID, e.ID)
		}
		if i > 0 && (got[i].LogSeq <= got[i-1].LogSeq || got[i].Offset != got[i-1].Offset+1) {
			t.Fatalf("message %d stands at %d, x-log-seq %d; the one before at %d, %d", i, got[i].Offset, got[i].LogSeq, got[i-1].Offset, got[i-1].LogSeq)
		}
	}
}

func (h env) waiting() int64 {
	s, err := setting.ReadState(h.Context(), h.DB)
	if err != nil {
		return -1
	}
	return s.Waiting
}

func (h env) sales(n int) []event.Any {
	h.Helper()
	events := workertest.Sales(h, n)
	h.Admit(events...)
	return events
}

// A client gets the whole log from the first event, a part from an offset or a time, and new events as they come. What
// came straight over AMQP is in it too.
func TestClientsReplayFromWhereTheyLike(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	events := h.sales(1200)
	foreign := workertest.Sales(h, 20)
	h.AdmitPublished(foreign...)
	events = append(events, foreign...)
	h.enable(true)
	f := h.run("a")
	first := h.attach("first")
	wantOnce(t, first.take(len(events)), events)
	fresh := h.attach("next")
	h.Eventually("the cursor has passed all", func() bool { return h.waiting() == 0 })
	later := h.attach(first.got[700].Offset)
	wantOnce(t, later.take(len(events)-700), events[700:])
	// A time leads to the beginning of a part of a segment, so that a client may get some messages from before it.
	if all := h.attach(time.Now().Add(-time.Hour)).take(len(events)); all[0].ID != events[0].ID.String() {
		t.Errorf("from an hour ago on the first is %s", all[0].ID)
	}
	if last := h.attach("last").take(1); !slices.ContainsFunc(events, func(e event.Any) bool { return e.ID.String() == last[0].ID }) {
		t.Errorf("the last part begins with %s", last[0].ID)
	}
	more := h.sales(50)
	wantOnce(t, fresh.take(50), more)
	wantOnce(t, first.take(len(events)+50), append(events, more...))
	if n := f.Metric("composerp_stream_confirmed_total"); n != float64(len(events)+50) {
		t.Errorf("%v confirms are counted", n)
	}
	if depth := h.Depth(topology.Unrouted); depth != 0 {
		t.Errorf("%d messages are unrouted", depth)
	}
}

// The feeder dies when all is confirmed and the cursor not yet moved: the next one makes copies, which a client knows
// by their x-log-seq. Another feeder leads meanwhile only after the first is gone.
func TestACrashMakesCopiesThatAClientKnows(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	h.enable(true)
	first := h.run("a")
	client := h.attach("first")
	events := h.sales(1)
	client.take(1)
	h.Eventually("the cursor has moved", func() bool { return h.waiting() == 0 })
	release := storetest.Lock(t, h.URL, `SELECT FROM log_cursor WHERE consumer = 'stream' FOR UPDATE`)
	events = append(events, h.sales(100)...)
	client.take(101)
	first.End()
	release()
	h.run("b")
	client.take(201)
	h.Eventually("the cursor has passed all", func() bool { return h.waiting() == 0 })
	events = append(events, h.sales(30)...)
	got := slices.Clone(client.take(231))
	known := map[int64]string{}
	got = slices.DeleteFunc(got, func(m rabbitmqtest.StreamMessage) bool {
		id, again := known[m.LogSeq]
		if again && id != m.ID {
			t.Errorf("x-log-seq %d is of %s and %s", m.LogSeq, id, m.ID)
		}
		known[m.LogSeq] = m.ID
		return again
	})
	if len(got) != len(events) {
		t.Fatalf("without copies there are %d, want %d", len(got), len(events))
	}
	for i, e := range events {
		if got[i].ID != e.ID.String() {
			t.Fatalf("message %d is %s, want %s", i, got[i].ID, e.ID)
		}
	}
}

// A stream that is switched off gets nothing and holds no tick back. Switched on again it begins then; a queue that is
// gone is waited for. The role relay may feed it, and the role topology declare it.
func TestOffOnAndGone(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	users := rabbitmqtest.Roles(t, h.Broker, nil)
	declaring := h
	declaring.Env = &workertest.Env{Env: h.Env.Env, Broker: users[roles.Topology]}
	f := h.runAt(users[roles.Relay], "a")
	declaring.enable(true)
	client := h.attach("first")
	events := h.sales(10)
	client.take(10)
	if changed := storetest.MustGet(setting.Disable(t.Context(), h.DB, by))(t); !changed {
		t.Fatal("the stream was off")
	}
	h.Eventually("the feeder ends", func() bool { return f.Metric("composerp_stream_leading") == 0 })
	if n := storetest.Value[int](t, h.URL, `SELECT count(*) FROM log_cursor WHERE consumer = 'stream'`); n != 0 {
		t.Error("a stream that is off has a cursor")
	}
	missed := h.sales(10)
	h.Eventually("a tick has seen them", func() bool {
		return storetest.Value[bool](t, h.URL, `SELECT max(max_seq) >= (SELECT max(seq) FROM event_log) FROM tick`)
	})
	h.enable(false)
	events = append(events, h.sales(10)...)
	got := client.take(20)
	if slices.ContainsFunc(got, func(m rabbitmqtest.StreamMessage) bool { return m.ID == missed[0].ID.String() }) {
		t.Error("an event from before the stream was switched on is in it")
	}
	wantOnce(t, got, events)
	h.Eventually("the cursor has passed all", func() bool { return h.waiting() == 0 })

	rabbitmqtest.DeleteQueue(t, h.Broker, topology.Stream)
	lost := h.sales(10)
	h.Eventually("the feeder says so", func() bool { return f.Logs.Has("broker session lost") })
	if h.waiting() < 10 {
		t.Error("the cursor has passed what no stream took")
	}
	h.ApplyTopology(topology.StreamOf(retention))
	wantOnce(t, h.attach("first").take(10), lost)
}
