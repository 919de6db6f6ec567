// Package ledger keeps stock: movements, which are append-only, and positions, which are their sums.
//
// Invariants:
//
//   - An event moves stock once: a movement's key is the source event and the line, so this holds even after the inbox
//     has dropped the event's row.
//   - A position is the sum of its movements and counts them in sequence.
//   - A movement has a business time. The correction that a count makes has the time of the count.
//   - Movements of an item sum to zero: each event moves goods between two locations; one may be virtual.
//
// A batch makes the positions it sees for the first time, then locks all of its positions in key order, so that no two
// batches deadlock. With the locks held it checks which events have moved already, decides in memory and writes
// everything with one statement. READ COMMITTED is enough: everything a decision reads is locked.
//
// A crash leaves a batch posted or not; a redelivered event finds its inbox row or its movements.
package ledger
