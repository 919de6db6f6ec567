// Package shadow lets code of another version handle what live workers have handled, from the state in which they
// handled it, and leaves no trace.
//
// A session works in windows. Copy makes temporary tables with the rows that the live tables have in one snapshot.
// Begin opens, later, a transaction with a second snapshot. What the live workers have handled between the two is in
// the second snapshot's inbox and not in the first one's, and what they emitted has their transactions' numbers in the
// log. Handlers that run in the second transaction find the temporary tables where they look for the live ones
// (PostgreSQL searches pg_temp first), so that they begin where the live workers began.
//
// # Invariants
//
//   - The transaction in which handlers run is READ ONLY: PostgreSQL itself refuses to write or lock rows of any table
//     that is not temporary, and to draw from any sequence that is not. It is always rolled back.
//   - The copies have all that transactions visible in the first snapshot have written, and nothing else. A window's
//     batches are all those whose transaction is visible in the second snapshot and not in the first.
//   - No live row is locked. A live table is locked against DROP and ALTER alone, while it is copied or compared; a
//     session waits two seconds at most for such a lock.
//   - No transaction is open between Copy and Begin: vacuum waits for no session.
//   - Batches are those of the live workers, transaction by transaction. One that emitted comes in the order of what
//     it emitted, which is the order of the row locks; one that emitted nothing, in the order of the transactions'
//     numbers.
//
// # What it uses up
//
// Copy uses a transaction number, and rows in the system catalogs, as every temporary table does.
//
// # What a crash leaves, step by step
//
//	while the tables are copied    nothing: the transaction is undone
//	between Copy and Begin         nothing: temporary tables end with their connection
//	while handlers run             nothing: the transaction is undone
//	the connection breaks          the copies are gone; Begin returns ErrGone, and Copy makes others
package shadow
