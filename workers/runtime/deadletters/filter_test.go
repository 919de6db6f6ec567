package deadletters_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// zoo sends letters of different kinds to the ledger's dead letters, a minute apart, and gives their events' ids.
func (p *env) zoo() []string {
	p.Helper()
	var ids []string
	var messages []rabbitmq.Message
	for i, kind := range []struct{ tenant, aggregate, eventType, err, class string }{
		{"acme", "S1", "SALE_COMPLETED", `item "cup": none left of 12`, ""},
		{"acme", "S2", "SALE_COMPLETED", `item "jug": none left of 7`, ""},
		{"acme", "S3", "STOCK_COUNTED", "the count is late", "ledger-late"},
		{"zeta", "S1", "SALE_COMPLETED", "The Lock is taken", ""},
		{"zeta", "S5", "SALE_COMPLETED", "100% of it", ""},
	} {
		e := p.sale(kind.tenant, kind.aggregate)
		m := dead(e, ledger, errors.New(kind.err))
		m.Type = kind.eventType
		m.Headers[rabbitmq.HeaderLastFailedAt] = noon.Add(time.Duration(i) * time.Minute).Format(time.RFC3339Nano)
		if kind.class != "" {
			m.Headers[rabbitmq.HeaderQuarantine] = kind.class
		}
		ids, messages = append(ids, e.ID.String()), append(messages, m)
	}
	garbage := rabbitmq.Message{ID: "no event", Exchange: topology.Dead, RoutingKey: ledgerQueue, Body: []byte("\x00\xff"), Timestamp: noon.Add(-time.Hour)}
	p.Send(append(messages, garbage)...)
	p.record()
	return append(ids, "no event")
}

// Every filter, on the dead-letter log and on the queue: they choose the same.
func TestEveryFilter(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	ids := p.zoo()
	print := failures.Fingerprint(`item "x": none left of 1`)
	letterID := func(i int) string {
		var found string
		storetest.Must(t, failures.EachDeadLetter(t.Context(), p.DB, failures.LetterFilter{IDs: ids[i : i+1]}, 0, func(l failures.DeadLetter) error {
			found = l.ID.String()
			return nil
		}))
		return found
	}
	for name, c := range map[string]struct {
		of   failures.LetterFilter
		want []int
	}{
		"all":                   {failures.LetterFilter{}, []int{5, 0, 1, 2, 3, 4}},
		"type":                  {failures.LetterFilter{Type: "STOCK_COUNTED"}, []int{2}},
		"a part of the error":   {failures.LetterFilter{Error: "the lock"}, []int{3}},
		"a percent sign":        {failures.LetterFilter{Error: "0% of"}, []int{4}},
		"a fingerprint":         {failures.LetterFilter{Error: print}, []int{0, 1}},
		"tenant":                {failures.LetterFilter{Tenant: "zeta"}, []int{3, 4}},
		"aggregate":             {failures.LetterFilter{Aggregate: "S1"}, []int{0, 3}},
		"aggregate of a tenant": {failures.LetterFilter{Aggregate: "S1", Tenant: "zeta"}, []int{3}},
		"quarantine":            {failures.LetterFilter{Quarantine: "ledger-late"}, []int{2}},
		"since":                 {failures.LetterFilter{Since: noon.Add(3 * time.Minute)}, []int{3, 4}},
		"until":                 {failures.LetterFilter{Until: noon.Add(time.Minute)}, []int{5, 0}},
		"between":               {failures.LetterFilter{Since: noon, Until: noon.Add(2 * time.Minute)}, []int{0, 1}},
		"ids of an event and of a letter, and a message's": {failures.LetterFilter{IDs: []string{ids[1], letterID(4), ids[5]}}, []int{5, 1, 4}},
		"unknown tenant": {failures.LetterFilter{Tenant: "unknown"}, nil},
	} {
		var want, listed []string
		for _, i := range c.want {
			want = append(want, ids[i])
		}
		of := c.of
		of.Consumers = []string{ledger}
		storetest.Must(t, failures.EachDeadLetter(t.Context(), p.DB, of, 0, func(l failures.DeadLetter) error {
			listed = append(listed, l.MessageID)
			return nil
		}))
		if !slices.Equal(listed, want) {
			t.Errorf("%s: the dead-letter log lists %v, want %v", name, listed, want)
		}
		chosen := p.chosen(c.of)
		slices.Sort(want)
		if !slices.Equal(chosen, want) {
			t.Errorf("%s: of the queue are chosen %v, want %v", name, chosen, want)
		}
		groups, err := failures.LetterGroups(t.Context(), p.DB, of, 0)
		storetest.Must(t, err)
		n := 0
		for _, g := range groups {
			n += g.Count
		}
		if n != len(want) {
			t.Errorf("%s: the groups have %d letters, want %d", name, n, len(want))
		}
	}
	if other := (failures.LetterFilter{Consumers: []string{"stockview"}}); len(p.listed(other)) != 0 {
		t.Error("another worker has letters")
	}
}

func (p *env) listed(of failures.LetterFilter) (ids []string) {
	p.Helper()
	p.Must(failures.EachDeadLetter(p.Context(), p.DB, of, 0, func(l failures.DeadLetter) error {
		ids = append(ids, l.MessageID)
		return nil
	}))
	return ids
}

// chosen are the ids of the messages that a filter chooses in the queue, sorted. They are sent back into it.
func (p *env) chosen(of failures.LetterFilter) []string {
	p.Helper()
	report, err := p.cfg.Redrive(p.Context(), deadletters.Redrive{Queue: queue, Pace: fast, Filter: of})
	p.Must(err)
	if report.Seen != 6 {
		p.Errorf("%d letters were looked at of 6", report.Seen)
	}
	if report.Redriven == 0 {
		return nil
	}
	c, err := p.Session().Consume(ledgerQueue, "chosen."+uuid.NewString(), 100)
	p.Must(err)
	defer c.Close()
	var back []rabbitmq.Delivery
	for len(back) < report.Redriven {
		taken, err := c.Take(p.Context(), 100)
		p.Must(err)
		back = append(back, taken...)
	}
	var ids []string
	var again []rabbitmq.Message
	for _, d := range back {
		ids = append(ids, d.ID)
		again = append(again, p.asItDied(d))
	}
	p.Send(again...)
	p.Must(c.Ack(back[len(back)-1]))
	p.count(`WITH u AS (UPDATE dead_letter SET redriven_at = NULL, redrives = 0 RETURNING 1) SELECT count(*) FROM u`)
	p.record()
	slices.Sort(ids)
	return ids
}

// asItDied is a message put back as it lay among the dead, so that the dead-letter log knows it.
func (p *env) asItDied(d rabbitmq.Delivery) rabbitmq.Message {
	m := d.Message
	m.Exchange, m.RoutingKey = topology.Dead, ledgerQueue
	if cause, died := m.Headers[rabbitmq.HeaderDiedOf]; died {
		var class string
		p.Must(failures.EachDeadLetter(p.Context(), p.DB, failures.LetterFilter{IDs: []string{d.ID}, IncludeResolved: true}, 0, func(l failures.DeadLetter) error {
			class = l.Quarantine
			return nil
		}))
		m.Headers[rabbitmq.HeaderError], m.Headers[rabbitmq.HeaderWorker], m.Headers[rabbitmq.HeaderAttempt] = cause, ledger, int64(2)
		m.Headers[rabbitmq.HeaderDead] = deadQueue
		if class != "" {
			m.Headers[rabbitmq.HeaderQuarantine] = class
		}
	}
	return m
}

func TestListingTouchesNoQueue(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.zoo()
	storetest.Must(t, p.Session().Close()) // the test's own
	standings, err := p.cfg.Summaries(t.Context(), []string{ledger, "stockview"}, failures.LetterFilter{Tenant: "acme"})
	storetest.Must(t, err)
	if len(standings) != 2 || standings[0].Queue != deadQueue || *standings[0].InQueue != 6 || standings[0].Lying != 3 ||
		!standings[0].Oldest.Equal(noon) || !standings[0].Newest.Equal(noon.Add(2*time.Minute)) || *standings[1].InQueue != 0 || standings[1].Lying != 0 {
		t.Errorf("the queues stand as %+v", standings)
	}
	away := p.cfg
	away.Broker.URLs = []string{"amqp://127.0.0.1:1/"}
	if standings, err = away.Summaries(t.Context(), []string{ledger}, failures.LetterFilter{}); !errors.Is(err, deadletters.ErrDepths) || standings[0].Lying != 6 || standings[0].InQueue != nil {
		t.Errorf("without a broker it says %v, %+v", err, standings)
	}
	groups, err := failures.LetterGroups(t.Context(), p.DB, failures.LetterFilter{}, 1)
	storetest.Must(t, err)
	if len(groups) != 1 || groups[0].Count != 2 || groups[0].Error != `item "jug": none left of 7` || groups[0].Type != "SALE_COMPLETED" {
		t.Errorf("the largest group is %+v", groups)
	}
}

func TestLettersOfTheVersionBeforeGetFingerprints(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.zoo()
	p.count(`WITH u AS (UPDATE dead_letter SET fingerprint = '' RETURNING 1) SELECT count(*) FROM u`)
	storetest.Must(t, failures.FingerprintDeadLetters(t.Context(), p.DB))
	if n := p.count(`SELECT count(*) FROM dead_letter WHERE fingerprint = $1`, failures.Fingerprint(`item "x": none left of 1`)); n != 2 {
		t.Errorf("%d letters have the fingerprint of two", n)
	}
	storetest.Must(t, failures.FingerprintDeadLetters(t.Context(), p.DB))
}

// The pages of a long log follow each other without a gap, those of one moment too.
func TestEachOfALongLog(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	var want []uuid.UUID
	storetest.Must(t, p.DB.InTx(t.Context(), func(tx store.Tx) error {
		var list []failures.DeadLetter
		for i := range 200 {
			l := failures.DeadLetter{ID: uuid.New(), Consumer: ledger, DiedAt: noon.Add(time.Duration(i/90) * time.Second)}
			list, want = append(list, l), append(want, l.ID)
		}
		return failures.RecordDeadLetters(t.Context(), tx, list)
	}))
	for _, limit := range []int{0, 1, 64, 65, 200, 500} {
		seen := map[uuid.UUID]bool{}
		storetest.Must(t, failures.EachDeadLetter(t.Context(), p.DB, failures.LetterFilter{}, limit, func(l failures.DeadLetter) error {
			seen[l.ID] = true
			return nil
		}))
		if n := min(len(want), max(limit, len(want)*boolInt(limit == 0))); len(seen) != n {
			t.Errorf("limit %d gives %d letters, want %d", limit, len(seen), n)
		}
	}
	stop := errors.New("stop")
	if err := failures.EachDeadLetter(context.Background(), p.DB, failures.LetterFilter{}, 0, func(failures.DeadLetter) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("it goes on after %v", err)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
