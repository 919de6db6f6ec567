package scaling_test

import (
	"testing"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/storetest"
)

// A queue that had no message for an hour has none that is an hour old: the age is that of the event behind the
// last one that was taken, of a type that the queue has.
func TestAges(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	for _, sale := range storetest.Sales(4) {
		p.Append(sale)
	}
	seqs := storetest.One[pq.Int64Array](t, p.SQL(), `SELECT array_agg(seq ORDER BY seq) FROM event_log`)
	for i, ago := range []string{"1 hour", "50 minutes", "40 seconds", "20 seconds"} {
		p.Exec(`UPDATE event_log SET logged_at = now() - $1::interval WHERE seq = $2`, ago, seqs[i])
	}
	p.Exec(`UPDATE event_log SET type = 'OTHER' WHERE seq = $1`, seqs[1])
	types := map[string][]string{"ledger": {"RECEIPT_COMPLETED", "SALE_COMPLETED"}, "rare": {"NEVER"}}
	ages := func(queue string, taken ...int64) (float64, bool) {
		var reports []scaling.Report
		for _, seq := range taken {
			reports = append(reports, scaling.Report{Planned: scaling.Planned{Queue: queue}, Seq: seq})
		}
		age, known := storetest.MustGet(scaling.Ages(t.Context(), p.DB, reports, types))(t)[queue]
		return age, known
	}
	for taken, want := range map[int64]float64{seqs[0]: 40, seqs[2]: 20} {
		if age, known := ages("ledger", taken, 0); !known || age < want || age > want+15 {
			t.Errorf("behind %d the oldest has an age of %v (%t), want %v", taken, age, known, want)
		}
	}
	for what, queue := range map[string]string{"no event of its type": "rare", "no known worker": "unknown"} {
		if age, known := ages(queue, seqs[0]); known {
			t.Errorf("a queue with %s has an age of %v", what, age)
		}
	}
	if age, known := ages("ledger", seqs[3]); known {
		t.Errorf("a queue whose events are all taken has an age of %v", age)
	}
	if age, known := ages("ledger", 0); known {
		t.Errorf("a queue whose slots have taken nothing has an age of %v", age)
	}
}
