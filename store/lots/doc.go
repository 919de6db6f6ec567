// Package lots keeps, of each position, what is left of every lot and when it expires.
//
// A LotBalance is a position as its lots see it: what is left of each, and the shortfall, which is what went out
// beyond them.
//
// Invariants:
//
//   - The sum of the lots less the shortfall is on hand.
//   - A position's row in lot_balance is the lock of its lots: only the holder of that lock writes them.
//   - A lot is noted as expiring once, by the transaction that emits its event.
//
// Balances are locked in key order, then business days begun in key order, then lots noted as expiring in key order;
// transactions that keep to this cannot deadlock. A crash rolls all of it back with the inbox row of its event.
package lots
