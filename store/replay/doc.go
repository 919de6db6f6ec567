// Package replay keeps replays: what each was asked for, how far it has come, and which events were handled again.
//
// # A replay is one interval of the log
//
// It reads what the newest tick had seen when it was asked for, in the order of the log's positions: in one interval of
// ticks no two events of an aggregate are reversed (store/eventlog, reader.go). The row keeps the tick's snapshot, so
// that the tick may be thinned out. The cursor is a position of that interval.
//
// Invariants:
//
//   - The cursor moves only forward, only while the state is running, and only by the process whose term the row has.
//     A process that was taken over, or whose replay was cancelled, can publish copies and moves nothing.
//   - What the cursor has passed was confirmed by the broker, or is in the file up to the noted length.
//   - The row and its entry in the operator log are committed together, before anything is published.
//
// A crash before the row's commit leaves nothing. After it, the row says running and its cursor stands still: resume
// takes it over with the next term. What was published past the cursor is published once more.
//
// # Handling an event again
//
// A row of handled_again is to a replay what an inbox row is to a delivery: it commits with the effects, and a second
// delivery by the same replay, or an earlier one, finds it. Its key makes two replays of one event wait for each other.
//
// What an event had emitted is found by transaction: an inbox row was written by the transaction that appended what its
// event had emitted, so the row's xmin is that of these events, and the log has an index by transaction. The row of
// handled_again keeps the transactions of the replays. So Emitted is exact without an index by id:
//
//   - a handling in flight elsewhere holds the inbox row's key, for which the claim waits, and is committed by then;
//   - xmin has 32 bits, so the transactions of all epochs of ids that end in them are looked through, and only events
//     with the very ids count;
//   - where no inbox row can tell (its generation was dropped, or the database was restored since), the log is read
//     from the event on. That is slow, and exact too.
package replay
