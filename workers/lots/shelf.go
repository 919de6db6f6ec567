package lots

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
)

// book makes a movement on its shelf and gives the lot that it filled, if it did.
func book(s *lots.LotBalance, m *move) *lots.Lot {
	sequence := m.Metadata.Sequence
	if s.FirstEvent == 0 && sequence > 0 {
		s.FirstEvent = sequence
		add(s, "", "", opening(m))
	}
	if sequence > 0 && sequence < s.FirstEvent {
		return rename(s, m)
	}
	return add(s, m.LotNumber, knownExpiry(m.ExpiryDate, m.Timestamp), m)
}

// opening is what was on hand before the first known movement.
func opening(first *move) *move {
	before := *first
	before.Change = first.OnHand.Sub(first.Change)
	return &before
}

// add takes in, or, where the quantity is negative, out. It gives the lot that
// was filled, nil where none was.
func add(s *lots.LotBalance, number string, expiry event.Date, m *move) *lots.Lot {
	if !m.Change.IsPositive() {
		take(s, m.Change.Neg())
		return nil
	}
	settled := least(m.Change, s.Shortfall)
	s.Shortfall = s.Shortfall.Sub(settled)
	rest := m.Change.Sub(settled)
	if !rest.IsPositive() {
		return nil
	}
	return fill(s, number, expiry, rest, m)
}

// take depletes lots in the order they stand in; what they do not hold is shortfall.
func take(s *lots.LotBalance, quantity event.Decimal) {
	for _, lot := range s.Lots {
		if !quantity.IsPositive() {
			return
		}
		taken := least(quantity, lot.Quantity)
		lot.Quantity = lot.Quantity.Sub(taken)
		quantity = quantity.Sub(taken)
	}
	s.Shortfall = s.Shortfall.Add(quantity)
}

func fill(s *lots.LotBalance, number string, expiry event.Date, quantity event.Decimal, m *move) *lots.Lot {
	i := slices.IndexFunc(s.Lots, func(l *lots.Lot) bool { return l.Number == number && l.Expiry == expiry })
	if i < 0 {
		i = len(s.Lots)
		s.Lots = append(s.Lots, &lots.Lot{Number: number, Expiry: expiry})
	}
	lot := s.Lots[i]
	if !lot.Quantity.IsPositive() || m.Timestamp.Before(lot.ReceivedAt) {
		lot.ReceivedAt = m.Timestamp
	}
	lot.Quantity = lot.Quantity.Add(quantity)
	slices.SortFunc(s.Lots, firstExpiredFirstOut)
	return lot
}

// firstExpiredFirstOut puts unknown expiry ("") before every date, and of one date the oldest receipt first.
func firstExpiredFirstOut(a, b *lots.Lot) int {
	return cmp.Or(strings.Compare(string(a.Expiry), string(b.Expiry)), a.ReceivedAt.Compare(b.ReceivedAt), strings.Compare(a.Number, b.Number))
}

// rename gives a movement from before the opening its lot: what it brought is in
// the opening already, without a name. Of what has gone out since nothing is left to name.
func rename(s *lots.LotBalance, m *move) *lots.Lot {
	expiry := knownExpiry(m.ExpiryDate, m.Timestamp)
	if !m.Change.IsPositive() || m.LotNumber == "" && expiry == "" {
		return nil
	}
	i := slices.IndexFunc(s.Lots, func(l *lots.Lot) bool { return l.Number == "" && l.Expiry == "" })
	if i < 0 || !s.Lots[i].Quantity.IsPositive() {
		return nil
	}
	named := least(m.Change, s.Lots[i].Quantity)
	s.Lots[i].Quantity = s.Lots[i].Quantity.Sub(named)
	return fill(s, m.LotNumber, expiry, named, m)
}

func least(a, b event.Decimal) event.Decimal {
	if a.LessThan(b) {
		return a
	}
	return b
}

// sorted gives shelves in the order of their ids, so that their events are emitted in one order.
func sorted(shelves map[masterdata.PositionKey]*lots.LotBalance) []*lots.LotBalance {
	return slices.SortedFunc(maps.Values(shelves), func(a, b *lots.LotBalance) int { return cmp.Compare(a.ID, b.ID) })
}
