package whatif

import (
	"time"

	"github.com/shopspring/decimal"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/whatif"
)

// measure adds up the figures of one column from the events of its ledger and its planning.
//
// A position is measured from when its stock is known, as replenishment knows it: by more than sales and returns.
// Stock below nothing is no stock. Time goes by the business times of the events, and never back: a late event counts
// from when it came.
type measure struct {
	costs map[masterdata.ItemKey]whatif.Cost
	only  func(masterdata.PositionKey) bool
	now   int64 // in microseconds
	from  int64 // of the span; 0: the first event
	total sums
	units decimal.Decimal            // on hand at all measured positions now
	worth map[string]decimal.Decimal // what they cost
	at    map[masterdata.PositionKey]*measured

	policy  string            // who approves without a person
	pending map[orderKey]bool // orders that are not decided
}

type orderKey struct{ tenant, order string }

// measured is one position.
type measured struct {
	sums
	level   decimal.Decimal
	known   bool
	settled int64 // up to when the sums go
	cost    *whatif.Cost
}

func newMeasure(opening []whatif.Position, costs map[masterdata.ItemKey]whatif.Cost, asked Asked, policy string) *measure {
	only, span := asked.only, asked.Span
	m := &measure{costs: costs, only: only, at: map[masterdata.PositionKey]*measured{}, worth: map[string]decimal.Decimal{},
		policy: policy, pending: map[orderKey]bool{}}
	m.total.begin()
	if !span.From.IsZero() {
		m.from = span.From.UnixMicro()
		m.now = m.from
	}
	for _, o := range opening {
		if !only(o.PositionKey) {
			continue
		}
		p := m.position(o.PositionKey)
		p.known = o.Known
		m.change(p, o.OnHand.Decimal)
	}
	return m
}

func (s *sums) begin() {
	s.value, s.capital, s.peak = map[string]decimal.Decimal{}, map[string]decimal.Decimal{}, map[string]decimal.Decimal{}
}

func (m *measure) position(k masterdata.PositionKey) *measured {
	p := m.at[k]
	if p == nil {
		p = &measured{settled: m.now}
		p.begin()
		if cost, known := m.costs[masterdata.ItemKey{Tenant: k.Tenant, Item: k.Item}]; known {
			p.cost = &cost
		}
		m.at[k] = p
	}
	return p
}

// take measures an event.
func (m *measure) take(e event.Any) {
	switch payload := e.Payload.(type) {
	case event.InventoryUpdated:
		m.moved(masterdata.PositionKey{Tenant: e.TenantID, Item: payload.ItemID, Location: payload.LocationID}, e.Timestamp, payload)
	case event.InventoryLowStock:
		if k := (masterdata.PositionKey{Tenant: e.TenantID, Item: payload.ItemID, Location: payload.LocationID}); m.only(k) {
			m.total.low++
			m.position(k).low++
		}
	case event.PurchaseOrderCreated:
		m.ordered(e.TenantID, payload)
	case event.PurchaseOrderApproved:
		m.decided(orderKey{e.TenantID, payload.PurchaseOrderID}, payload.ApprovedBy == m.policy)
	case event.PurchaseOrderCancelled:
		m.decided(orderKey{e.TenantID, payload.PurchaseOrderID}, false)
	}
}

// decided notes a decision about an order. An order that the policy does not decide waits for a person.
func (m *measure) decided(order orderKey, byPolicy bool) {
	if m.pending[order] && byPolicy {
		m.total.waiting--
	}
	delete(m.pending, order)
}

func (m *measure) ordered(tenant string, payload event.PurchaseOrderCreated) {
	counted := false
	for _, line := range payload.Lines {
		k := masterdata.PositionKey{Tenant: tenant, Item: line.ItemID, Location: payload.LocationID}
		if !m.only(k) {
			continue
		}
		of := []*sums{&m.position(k).sums, &m.total}
		for _, s := range of {
			s.ordered = s.ordered.Add(line.Quantity.Decimal)
			if line.UnitPrice == nil {
				s.unpriced++
			} else {
				add(s.value, payload.Currency, line.UnitPrice.Decimal.Mul(line.Quantity.Decimal))
			}
		}
		of[0].orders++
		if !counted {
			m.total.orders++
			m.total.waiting++
			m.pending[orderKey{tenant, payload.PurchaseOrderID}] = true
			counted = true
		}
	}
}

func (m *measure) moved(k masterdata.PositionKey, at time.Time, payload event.InventoryUpdated) {
	if !m.only(k) {
		return
	}
	m.pass(at.UnixMicro())
	p := m.position(k)
	m.settle(p)
	becomes := !p.known && payload.TransactionType != event.TransactionSale && payload.TransactionType != event.TransactionReturn
	if p.known && payload.TransactionType == event.TransactionSale {
		sold := payload.Change.Decimal.Neg()
		short := decimal.Min(sold, sold.Sub(positive(p.level)))
		for _, s := range []*sums{&p.sums, &m.total} {
			s.sold = s.sold.Add(sold)
			s.short = s.short.Add(positive(short))
		}
	}
	had := p.known && p.level.IsPositive()
	if becomes {
		// What it had by sales and returns alone counts from now.
		before := p.level
		p.level = decimal.Decimal{}
		p.known = true
		m.change(p, before)
	}
	m.change(p, payload.Change.Decimal)
	if (had || becomes) && !p.level.IsPositive() {
		p.stockOuts++
		m.total.stockOuts++
	}
}

// pass moves the time on, and adds up what stood until then.
func (m *measure) pass(to int64) {
	if m.now == 0 {
		m.now = to
		m.from = to
	}
	if to <= m.now {
		return
	}
	length := decimal.NewFromInt(to - m.now)
	m.total.units = m.total.units.Add(m.units.Mul(length))
	for currency, worth := range m.worth {
		add(m.total.capital, currency, worth.Mul(length))
	}
	m.now = to
}

// settle adds up what has stood at the position since it last changed.
func (m *measure) settle(p *measured) {
	length := m.now - p.settled
	p.settled = m.now
	if !p.known || length <= 0 {
		return
	}
	if !p.level.IsPositive() {
		p.out += length
		m.total.out += length
		return
	}
	units := p.level.Mul(decimal.NewFromInt(length))
	p.units = p.units.Add(units)
	if p.cost != nil {
		add(p.capital, p.cost.Currency, units.Mul(p.cost.Unit))
	}
}

// change moves what stands at a settled position.
func (m *measure) change(p *measured, quantity decimal.Decimal) {
	before := positive(p.level)
	p.level = p.level.Add(quantity)
	if !p.known {
		return
	}
	after := positive(p.level)
	m.units = m.units.Add(after).Sub(before)
	raise(&p.highest, after)
	raise(&m.total.highest, m.units)
	if p.cost == nil {
		return
	}
	currency := p.cost.Currency
	add(m.worth, currency, after.Sub(before).Mul(p.cost.Unit))
	raiseIn(p.peak, currency, after.Mul(p.cost.Unit))
	raiseIn(m.total.peak, currency, m.worth[currency])
}

// end settles all positions up to the end of the span, and returns its length.
func (m *measure) end(at int64) int64 {
	m.pass(at)
	for _, p := range m.at {
		m.settle(p)
	}
	return m.now - m.from
}

func positive(d decimal.Decimal) decimal.Decimal {
	if d.IsNegative() {
		return decimal.Decimal{}
	}
	return d
}

func raise(highest *decimal.Decimal, to decimal.Decimal) {
	if to.GreaterThan(*highest) {
		*highest = to
	}
}

func raiseIn(highest map[string]decimal.Decimal, currency string, to decimal.Decimal) {
	if old, known := highest[currency]; !known || to.GreaterThan(old) {
		highest[currency] = to
	}
}
