package workers_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/audit"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/exchangetest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// loaded is a fleet that never comes to rest: sales of ten items come in all the time.
type loaded struct {
	*testing.T
	db       *store.DB
	url      string
	exchange exchange.Config
}

func newLoaded(t *testing.T) *loaded {
	t.Helper()
	l := &loaded{T: t, exchange: exchangetest.Vhost(t), url: storetest.URL(t)}
	if err := workers.Topology().Apply(t.Context(), l.exchange); err != nil {
		t.Fatal(err)
	}
	stopFleet := startFleet(t, l.url, l.exchange)
	l.db = open(t, l.url)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			var sales []event.Any
			for k := range 5 {
				sales = append(sales, workertest.Sale(t, fmt.Sprintf("item %d", (i+k)%10), "shop", "1"))
			}
			if _, err := l.db.Admit(ctx, sales, true); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
	t.Cleanup(func() { stop(); <-ended; l.db.Close(); stopFleet() })
	return l
}

func (l *loaded) audit() audit.Report {
	l.Helper()
	r, err := audit.Run(l.Context(), audit.Config{
		DB: l.db, Exchange: l.exchange, Management: exchangetest.Management(l), Topology: workers.Topology(), Wait: time.Millisecond,
	})
	if err != nil {
		l.Fatal(err)
	}
	return r
}

func (l *loaded) moved() int64 {
	return storetest.Value[int64](l, l.url, `SELECT count(*) FROM movement`)
}

// Audits beside the load find nothing wrong, each goes on from the one before, and
// together they leave nothing out. What is taken away from a fleet at work is found while it works on.
func TestAuditBesideTheLoad(t *testing.T) {
	t.Parallel()
	l := newLoaded(t)
	var last audit.Report
	flew := false
	for i := 0; i < 6 || l.moved() < 200; i++ {
		r := l.audit()
		if r.Verdict == audit.Findings {
			t.Fatalf("audit %d of a fleet at work:\n%s", i, r.Table())
		}
		if i > 0 && (r.Since == nil || r.Counts.Events < last.Counts.Events || r.Fresh != r.Counts.Events-r.Since.Events) {
			t.Fatalf("audit %d goes on from %+v: %d events of %d are new", i, r.Since, r.Fresh, r.Counts.Events)
		}
		flew = flew || len(r.InFlight) > 0
		last = r
	}
	if !flew {
		t.Error("nothing was ever in flight: the load proves nothing")
	}
	before := l.moved()
	localtest.Eventually(t, time.Minute, "the fleet goes on", func() bool { return l.moved() >= before+20 })
	// The newest sale that was moved is newer than the last audit.
	const lost = `DELETE FROM movement m USING (SELECT max(id) AS id FROM position WHERE location_id = 'shop') p
		WHERE m.position_id = p.id AND m.sequence = (SELECT max(sequence) FROM movement WHERE position_id = p.id)`
	storetest.Exec(t, l.url, lost)
	r := l.audit()
	if r.Verdict != audit.Findings {
		t.Fatalf("a movement is gone, and the audit says\n%s", r.Table())
	}
	failed := []string{}
	for _, c := range r.Checks {
		if c.Wrong > 0 && c.Unit != "queues" && c.Name != "published" {
			failed = append(failed, c.Name)
		}
	}
	if want := []string{"implied", "movements", "positions", "balance", "told"}; !slices.Equal(failed, want) && !slices.Equal(failed, slices.DeleteFunc(want, func(n string) bool { return n == "movements" })) {
		t.Errorf("checks %v failed, want %v:\n%s", failed, want, r.Table())
	}
}
