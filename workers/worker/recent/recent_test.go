package recent_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker/recent"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestAnEventIsDecodedOnce(t *testing.T) {
	t.Parallel()
	var events recent.Events
	sale := workertest.Sale(t, "tea", "shop", "3")
	first, err := events.Decode(7, sale.Body)
	if err != nil {
		t.Fatal(err)
	}
	again, err := events.Decode(7, bytes.Clone(sale.Body))
	if err != nil {
		t.Fatal(err)
	}
	if &again.Body[0] != &first.Body[0] || again.LogSeq != 7 || again.ID != sale.ID || again.Payload != first.Payload {
		t.Errorf("the second worker got %+v, the first %+v", again, first)
	}
}

// A position of the log has another body after a restore.
func TestAnotherBodyIsAnotherEvent(t *testing.T) {
	t.Parallel()
	var events recent.Events
	for _, seq := range []int64{7, 7, 7 + 4096, 7} {
		sale := workertest.Sale(t, uuid.NewString(), "shop", "3")
		got, err := events.Decode(seq, sale.Body)
		if err != nil || got.ID != sale.ID || got.LogSeq != seq || !bytes.Equal(got.Body, sale.Body) {
			t.Errorf("at %d: %+v, %v; want event %s", seq, got, err, sale.ID)
		}
	}
	if _, err := events.Decode(8, []byte("{")); err == nil {
		t.Error("half a body was decoded")
	}
	if e, err := events.Decode(8, []byte("{")); err == nil {
		t.Errorf("half a body was decoded the second time, to %+v", e)
	}
}

func TestWorkersDecodeAtOnce(t *testing.T) {
	t.Parallel()
	var events recent.Events
	var sales []event.Any
	for range 8 {
		sales = append(sales, workertest.Sale(t, uuid.NewString(), "shop", "1"))
	}
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := range 4000 {
				sale, seq := sales[i%8], int64(i%8+i%2*4096)
				if got, err := events.Decode(seq, sale.Body); err != nil || got.ID != sale.ID || got.LogSeq != seq {
					t.Errorf("at %d: %v, %v", seq, got, err)
					return
				}
			}
		})
	}
	workers.Wait()
}
