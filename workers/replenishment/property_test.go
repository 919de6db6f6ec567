package replenishment_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/composerp/composerp/exchange/event"
)

// model is what replenishment should do about one item, written down once more, as plainly as can be, in whole units.
type model struct {
	item            string
	onHand          int64
	seen            bool // it has moved
	counted         bool // and not only by sales and returns
	point, upTo     int64
	version, heldBy int64
	today, heldOn   int
	orders          []*modelOrder
	transfers       []*modelTransfer
	changed         bool // the last event was about the position
}

type modelTransfer struct{ sent, here, elsewhere int64 }

// inTransit is what is on its way to the shop.
func (m *model) inTransit() (sum int64) {
	for _, t := range m.transfers {
		sum += max(0, t.sent-t.here-t.elsewhere)
	}
	return sum
}

type modelOrder struct {
	id                 string // known when the order was said
	quantity, received int64
	cancelled          bool
}

func (o *modelOrder) rest() int64 {
	if o.cancelled {
		return 0
	}
	return max(0, o.quantity-o.received)
}

func (m *model) onOrder() (sum int64) {
	for _, o := range m.orders {
		sum += o.rest()
	}
	return sum
}

// ask gives the order that must be made now, if any.
func (m *model) ask() *modelOrder {
	position := m.onHand + m.onOrder() + m.inTransit()
	if !m.changed || !m.counted || m.version == 0 || position > m.point {
		return nil
	}
	if m.heldOn != 0 && m.heldBy == m.version && m.today <= m.heldOn {
		return nil
	}
	m.heldOn = 0
	o := &modelOrder{quantity: m.upTo - position}
	m.orders = append(m.orders, o)
	return o
}

func (m *model) receive(quantity int64, id string) {
	for _, o := range m.orders {
		switch {
		case id != "" && o.id == id:
			o.received += quantity
			return
		case id == "" && o.rest() > 0 && quantity > 0:
			part := min(quantity, o.rest())
			o.received += part
			quantity -= part
		}
	}
}

func (m *model) cancel(o *modelOrder, day int) {
	if m.changed = o.rest() > 0; !m.changed {
		return
	}
	o.cancelled = true
	m.heldOn, m.heldBy = max(m.heldOn, day), m.version
}

// close ends an order as cancel does, and holds nothing.
func (m *model) close(o *modelOrder) {
	if m.changed = o.rest() > 0; m.changed {
		o.cancelled = true
	}
}

// Random sales, returns, counts, receipts (named, nameless, partial, too large, of no known order), transfers (before
// and after they are known, too much, to a third location), cancellations, closings, rule changes and days, in
// batches of random size, many of them twice: what is ordered is what the model orders, and the books balance after
// each batch.
func TestRandomHistoriesAgainstTheModel(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			history := &history{tenant: w.tenant(t), rand: rand.New(rand.NewPCG(seed, 7)), day: 1}
			for i := range 3 {
				history.models = append(history.models, &model{item: fmt.Sprintf("item-%d", i)})
			}
			for range 60 {
				history.batch()
			}
			t.Logf("%d orders, %d events", history.made, len(history.past))
			if history.made < 10 {
				t.Errorf("only %d orders were made: the history is too dull", history.made)
			}
		})
	}
}

type history struct {
	*tenant
	rand   *rand.Rand
	models []*model
	day    int
	past   []event.Any
	made   int
}

// batch makes a batch, gives it to the worker and to the model, and compares.
func (h *history) batch() {
	h.Helper()
	var changed []*model
	for _, m := range h.models {
		if h.rand.IntN(8) == 0 {
			m.point, m.version = h.rand.Int64N(30), m.version+1
			m.upTo = m.point + 1 + h.rand.Int64N(40)
			h.rule(m.item, fmt.Sprintf("reorder_point=%d", m.point), fmt.Sprintf("order_up_to=%d", m.upTo))
			changed = append(changed, m)
		}
	}
	var events []event.Any
	var want []*modelOrder
	for range 1 + h.rand.IntN(12) {
		m := h.models[h.rand.IntN(len(h.models))]
		m.changed = true
		e := h.happen(m, &changed)
		events = append(events, e)
		if o := m.ask(); o != nil {
			want = append(want, o)
		}
		if h.rand.IntN(4) == 0 {
			events = append(events, e)
		}
		if len(h.past) > 0 && h.rand.IntN(4) == 0 {
			events = append(events, h.past[h.rand.IntN(len(h.past))])
		}
	}
	got := h.handle(events...)
	h.past = append(h.past, events...)
	if len(got) != len(want) {
		h.Fatalf("want %d orders, got %s", len(want), ordered(got))
	}
	for i, o := range want {
		if !got[i].Lines[0].Quantity.Equal(event.NewDecimal(o.quantity)) {
			h.Fatalf("want %d ordered, got %s", o.quantity, ordered(got[i:i+1]))
		}
		o.id = got[i].PurchaseOrderID
		h.made++
	}
	h.balances()
	for _, m := range h.models {
		if m.seen {
			h.wantOnOrder(m.item, fmt.Sprint(m.onOrder()))
			h.wantInTransit(m.item, fmt.Sprint(m.inTransit()))
		}
	}
	if h.Failed() {
		h.FailNow()
	}
}

// elsewhere lets goods of a transfer leave the depot or arrive at a third location, and gives the event of it. A
// transfer may be known by its arrival first. The shop's position is considered at its next event.
func (h *history) elsewhere(m *model) event.Any {
	m.changed = false
	t, name := h.someTransfer(m)
	some := 1 + h.rand.Int64N(8)
	if h.rand.IntN(4) == 0 {
		t.elsewhere += some
		return h.strayed(m.item, fmt.Sprint(some), name)
	}
	t.sent += some
	return h.dispatched(m.item, fmt.Sprint(some), name, "shop")
}

// someTransfer is a transfer that is new, or was seen before.
func (h *history) someTransfer(m *model) (*modelTransfer, string) {
	i := h.rand.IntN(len(m.transfers) + 1)
	if i == len(m.transfers) {
		m.transfers = append(m.transfers, &modelTransfer{})
	}
	return m.transfers[i], fmt.Sprint("transfer-", i)
}

// happen lets something happen to an item, and gives the event of it.
func (h *history) happen(m *model, changed *[]*model) event.Any {
	if h.rand.IntN(10) == 0 {
		h.day++
		h.tenant.day = h.tenant.day.AddDate(0, 0, 1)
	}
	known := slices.DeleteFunc(slices.Clone(m.orders), func(o *modelOrder) bool { return o.id == "" })
	stock := func(e event.Any, change int64) event.Any {
		m.onHand, m.seen, m.today = m.onHand+change, true, h.day
		return e
	}
	came := func(e event.Any, change int64) event.Any {
		m.counted = true
		return stock(e, change)
	}
	some := 1 + h.rand.Int64N(20)
	switch kind := h.rand.IntN(15); {
	case len(*changed) > 0 && kind < 4:
		r := (*changed)[0]
		*changed = (*changed)[1:]
		if r != m {
			break
		}
		m.heldOn = 0
		return h.ruleChanged(m.item)
	case kind == 4:
		m.receive(some, "")
		return came(h.received(m.item, fmt.Sprint(some), ""), some)
	case kind == 5 && len(known) > 0:
		o := known[h.rand.IntN(len(known))]
		some = []int64{some, o.quantity, o.quantity + some}[h.rand.IntN(3)]
		m.receive(some, o.id)
		return came(h.received(m.item, fmt.Sprint(some), o.id), some)
	case kind == 6:
		return came(h.received(m.item, fmt.Sprint(some), "unknown"), some)
	case kind == 7 && len(known) > 0:
		o := known[max(0, len(known)-1-h.rand.IntN(3))]
		if h.rand.IntN(2) == 0 {
			m.close(o)
			return h.closed(o.id)
		}
		m.cancel(o, h.day)
		return h.cancelled(o.id)
	case kind == 8 && m.seen:
		return h.lowStock(m.item)
	case kind > 12:
		return h.elsewhere(m)
	case kind == 12:
		t, name := h.someTransfer(m)
		some = 1 + some/3
		t.here += some
		return came(h.arrived(m.item, fmt.Sprint(some), name), some)
	case kind == 9:
		return stock(h.moved(m.item, fmt.Sprint(some), event.TransactionReturn), some)
	}
	return stock(h.sold(m.item, fmt.Sprint(some)), -some)
}
