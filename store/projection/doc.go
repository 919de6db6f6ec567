// Package projection rebuilds read models from the log beside the live ones, compares the two and switches.
//
// The rebuilt tables have the names of the live ones, in a schema of their own: a transaction whose search_path begins
// with that schema runs the live worker's own code on them. The live worker does not notice.
//
// Invariants:
//
//   - Fold gives the same rows in whatever order events come and however often: after a switch the worker is given
//     events that the rebuilt tables have already. Or the projection adds up (Once): then each event is folded once,
//     and only if the worker has handled it.
//   - The rebuilt tables have exactly the events before the cursor "projection.NAME", which moves in the transaction of
//     the rows; where they add up, less those in projection_delivery, written in the same transaction (once.go). The
//     cursor goes by intervals of ticks: an event that commits late is in a later interval.
//   - One process at a time moves it: it leads by the lease of that name, and each transaction holds the lease's row.
//   - All that the live worker has handled is in the rebuilt tables when they become live. Switch locks the live
//     tables, so that every transaction that wrote them has ended; the relay publishes only what a tick has seen; so
//     the newest tick read under the lock covers all that was handled, and Switch folds up to it before it commits.
//     Events after that tick, and those still in the queue, come to the worker as ever, and it writes them to the new
//     tables.
//   - The kept tables are not kept current. kept_tick is a tick before which the live worker had handled everything;
//     Back folds what came after it, by the code that runs now, before it switches. Where tables add up it leaves out
//     what they have already: kept tables have the events that the new ones had at the switch.
//   - Diff works in one transaction with one snapshot, which is rolled back, and locks no live table. It copies the
//     live tables, folds into the copy what the live worker had still to handle in that snapshot, folds into the
//     rebuilt tables what came since, both up to the same tick, read after the snapshot was taken; and compares.
//
// A crash:
//
//   - while the tables are made: the transaction is undone; nothing was made.
//   - between two pages, or within one: rows and cursor stand at the last page that committed; a rebuild goes on there.
//   - while Diff compares: nothing is left of it.
//   - before the commit of Switch or Back: nothing has changed, but the rebuilt tables may have come further.
//   - after it: the new tables are live; nothing is left to do.
package projection
