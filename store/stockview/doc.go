// Package stockview keeps the planner's read model: stock, what is on order, and how long it will last.
//
// The view stores facts (orders, their lines, receipts), each with its log position, and computes from all of them
// which receipt belongs to which line. So the order in which events arrive does not matter. A position is computed
// again when one of its facts arrives: as often as it is ordered or received, and not as often as it is sold.
//
// Invariants:
//
//   - A row of stock never goes back: the event with the higher sequence stays.
//   - Facts are written under the rows that protect their computation: orders first, in key order, then positions
//     (stock_supply), in key order. Of two transactions with facts of one order or position the second waits, and sees
//     what the first has written.
//
// A crash rolls a batch back with its inbox rows; computing it again gives the same.
package stockview
