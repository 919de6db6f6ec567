// Package delays keeps where the time of late deliveries went, and explains the delay of one event.
//
// The times of a delivery travel with its message (package exchange/delay). Most deliveries are handled at once, and
// nothing is kept of them but histograms. Of a late one the harness keeps the time in each stage: a row for the late
// ones of a batch, in the transaction that handles them.
//
// # Invariants
//
//   - A row tells of deliveries whose effects are committed: it commits with them. A second copy of a message is a
//     duplicate and writes no row.
//   - A delivery that is not kept was not late, or was handled before the version that keeps times, or its row is older
//     than Life or not among the newest Most.
//   - A stage ends where the next begins, so what is kept adds up to the total. It ends with the last statement before
//     the commit: the commit itself is in the histograms alone.
//   - What happened before the message was published is known by its header, or else by the log: time between the
//     event's birth and the first stage that nothing accounts for is shown as unmeasured, and never left out.
//
// # What a crash leaves, step by step
//
//	before the commit              nothing; the delivery comes again, and the time until then is its stage queue
//	after the commit, no ack       the row; the second delivery is a duplicate
//	after a failed attempt, before the old message comes again with the times it had: the attempt counts to the queue
//	the confirm of its copy
//	between two steps of Thin      fewer rows; the next call goes on
package delays
