// Package misdated finds what a business time far ahead of the clock has moved before there were bounds of business
// time (package eventlog), and corrects it.
//
// # What such an event leaves
//
// Its movements are after every count that is taken from then on, so each such count is booked as if their goods had
// not moved yet; if it is a count, everything is dated before it and moves no stock. The location's days are closed up
// to its date: no forecast is due, and every lot has expired. The log, the movements and the orders that were made are
// facts: they stay as they are. What follows from the time is corrected.
//
// # Invariants
//
//   - A movement is corrected once, to one time. misdated_movement holds that time beside the movement, which is never
//     changed: the ledger reads the corrected time from then on, and the audit for what was booked from then on.
//   - After a correction no calendar is ahead of its tenant's bounds.
//   - Demand is moved to the corrected day, and its sum stays.
//   - Correct is one transaction. A rehearsal does the same and rolls it back.
//
// # What goes wrong, and what then
//
//	a crash before the commit     nothing has happened
//	workers run meanwhile         rows are locked as they lock them; what they book after the commit sees the
//	                              corrected times
//	Correct is called again       what is corrected already is left alone; with nothing to do it changes nothing
//	a position was counted, or    its stock may be wrong by what was booked by the wrong time: it is named, and a
//	the misdated event counts it  count makes it right
//	lots were reported too early  they are not reported again: LOT_EXPIRING is emitted once a lot
//	orders were made too early    they are named; reject or cancel those that are not wanted
package misdated
