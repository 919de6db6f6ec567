package whatif

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// arrival is goods on their way from a supplier: a line of an order of the run.
type arrival struct {
	at                      time.Time
	tenant, order, location string
	line                    event.PurchaseOrderLine
}

// receipt is its event when it comes. Its id is that of the line.
func (a arrival) receipt() (event.Any, error) {
	id := uuid.NewSHA1(receiptSpace, []byte(a.tenant+"\x00"+a.order+"\x00"+a.line.ItemID))
	return event.Encode(event.Envelope{
		ID: id, AggregateID: a.order, TenantID: a.tenant, Timestamp: a.at, Metadata: event.Metadata{Source: "whatif"},
	}, event.ReceiptCompleted{
		ReceiptID: id.String(), ItemID: a.line.ItemID, LocationID: a.location, Quantity: a.line.Quantity, PurchaseOrderID: a.order, Timestamp: a.at,
	})
}

// arrivals are sorted by time, those of one time by order and item.
type arrivals struct{ queue queue }

func (a *arrivals) push(one arrival) { heap.Push(&a.queue, one) }

func (a *arrivals) pop() { heap.Pop(&a.queue) }

// due is the next arrival, if it comes by that time.
func (a *arrivals) due(by time.Time) (arrival, bool) {
	if len(a.queue) == 0 || a.queue[0].at.After(by) {
		return arrival{}, false
	}
	return a.queue[0], true
}

// queue implements heap.Interface.
type queue []arrival

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return cmp.Or(q[i].at.Compare(q[j].at), cmp.Compare(q[i].order, q[j].order), cmp.Compare(q[i].line.ItemID, q[j].line.ItemID)) < 0
}
func (q *queue) Push(x any) { *q = append(*q, x.(arrival)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
