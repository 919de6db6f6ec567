package faults_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
)

// survive breaks something, heals it, and waits until everything is as it was. fault returns when the fleet has felt
// it.
func (h *environment) survive(name string, limit time.Duration, fault func() (heal func())) {
	h.Helper()
	burned := h.burned()
	h.log.clear()
	heal := fault()
	heal()
	healed := time.Now()
	took := h.recover(healed, limit)
	before := h.confirmed()
	h.soon(30*time.Second, "everything published before the heal has moved stock", func() bool { return h.unmoved(before) == 0 })
	h.Logf("%-60s recovered after %5.2f s, all posted after %5.2f s", name, took.Seconds(), time.Since(healed).Seconds())
	if n := h.burned() - burned; n > 0 {
		h.Errorf("%s: %d attempts were burned:\n%s", name, n, h.log.about("a message failed"))
	}
	if h.Failed() {
		h.Fatalf("%s was not survived. The fleet's log:\n%s", name, h.log.tail())
	}
}

// recover publishes one event over the log and one straight, and returns how long after the heal it is known everywhere
// and every slot consumes.
func (h *environment) recover(healed time.Time, limit time.Duration) time.Duration {
	h.Helper()
	h.probes++
	logged, direct := fmt.Sprintf("probe-%d-logged", h.probes), fmt.Sprintf("probe-%d-direct", h.probes)
	published := make(chan struct{})
	go func() {
		defer close(published)
		h.admit(h.Context(), h.sale(logged))
		h.publishOne(direct)
	}()
	h.soon(limit+30*time.Second, "what is published after the heal is known", func() bool { return h.known(logged) && h.known(direct) && h.whole() })
	<-published
	took := time.Since(healed)
	if took > localtest.Deadline(limit) {
		h.Errorf("it took %s: %s", took.Round(10*time.Millisecond), localtest.Late(limit, "what is published after the heal is known"))
	}
	return took
}

// publishOne publishes one sale straight over AMQP, on a session of its own.
func (h *environment) publishOne(item string) {
	sale := h.sale(item)
	probe := external.Publisher{Broker: h.outside("probe")}
	defer probe.Close()
	_ = rabbitmqtest.PublishUntilConfirmed(h.Context(), &probe, external.Message(sale))
	h.note(sale)
}

// soon waits until holds does.
func (h *environment) soon(limit time.Duration, what string, holds func() bool) {
	h.Helper()
	if !localtest.Await(limit, holds) {
		h.Fatalf("%s. The fleet's log:\n%s", localtest.Late(limit, what), h.log.tail())
	}
}

// known tells whether the read model has an item. It has none while the database is away.
func (h *environment) known(item string) bool {
	var n int
	return h.ask(&n, `SELECT count(*) FROM stock WHERE item_id = $1`, item) && n == 1
}

// unmoved counts those events that have not moved stock; -1 while the database does not answer.
func (h *environment) unmoved(ids []string) int {
	var n int
	if !h.ask(&n, `SELECT count(*) FROM unnest($1::uuid[]) id WHERE NOT EXISTS (SELECT FROM movement WHERE event_id = id)`, pq.StringArray(ids)) {
		return -1
	}
	return n
}

func (h *environment) ask(answer any, query string, args ...any) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return h.look.QueryRowContext(ctx, query, args...).Scan(answer) == nil
}

// whole tells whether every worker consumes.
func (h *environment) whole() bool { return h.metric("composerp_worker_slots") == len(h.workers) }

// noneConsumes tells whether no worker consumes any more.
func (h *environment) noneConsumes() bool { return h.metric("composerp_worker_slots") == 0 }

// paused tells whether a slot waits for the database with messages in hand.
func (h *environment) paused() bool { return h.metric("composerp_worker_paused_slots") > 0 }

// burned counts the attempts that messages have used up.
func (h *environment) burned() int {
	return h.metric("composerp_worker_messages_total", "retried", "dead")
}

// metric sums a metric of the fleet's over all workers; where outcomes are given, over those series that have one of
// them.
func (h *environment) metric(name string, outcomes ...string) int {
	families, err := h.registry.Gather()
	h.must(err)
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			wanted := len(outcomes) == 0
			for _, l := range m.GetLabel() {
				for _, outcome := range outcomes {
					wanted = wanted || l.GetName() == "outcome" && l.GetValue() == outcome
				}
			}
			if wanted {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return int(sum)
}

// logbook keeps what the fleet logs.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *logbook) WithAttrs(attrs []slog.Attr) slog.Handler         { return page{l, attrs} }
func (l *logbook) WithGroup(string) slog.Handler                    { return l }

func (l *logbook) Handle(ctx context.Context, r slog.Record) error {
	return page{l, nil}.Handle(ctx, r)
}

// page is the logbook of one part of the fleet.
type page struct {
	*logbook
	attrs []slog.Attr
}

func (p page) WithAttrs(attrs []slog.Attr) slog.Handler {
	return page{p.logbook, append(append([]slog.Attr(nil), p.attrs...), attrs...)}
}

func (p page) Handle(_ context.Context, r slog.Record) error {
	line := r.Time.Format("05.000 ") + r.Message
	for _, a := range p.attrs {
		line += " " + a.String()
	}
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	return nil
}

func (l *logbook) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

// about are the lines that hold a text.
func (l *logbook) about(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "\n")
}

// has tells whether the fleet has logged a text.
func (l *logbook) has(text string) bool { return l.about(text) != "" }

// tail is how the log ends.
func (l *logbook) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-40):], "\n")
}
