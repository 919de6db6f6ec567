// Package parking keeps, for ordered workers, the events behind one that failed.
//
// An event that fails holds its aggregate: it is the aggregate's head, and waits as any failed event does, in a retry
// queue or among the dead letters. Later events of the aggregate are parked here and acknowledged, so that the lane
// goes on. Once the head is handled, the first parked event is the head, and so on in the order of arrival; after the
// last one the aggregate is held no more.
//
// # Invariants
//
//   - No event of a held aggregate is handled but its head.
//   - The statement that claims a batch's events reads whether any aggregate of the consumer is held (ClaimNewUnheld of
//     package inbox). Only then a second transaction asks which ones. So nothing is remembered between batches, with
//     lanes or without: what was held by a transaction that committed before the claim is heeded.
//   - An event is parked in the transaction that decides so, under the lock of its aggregate's row, and acknowledged
//     after it. Its row goes when it is handled, in that transaction, or once a copy of it waits elsewhere.
//   - The head of a held aggregate is parked here, in which case its turn has come, or it waits elsewhere: with the
//     broker, in the lane, in a retry queue, or among the dead letters. No row says which.
//   - A dead letter that is discarded lets the next event be the head: who discards it says that the rest may go on.
//
// # What a crash leaves, step by step
//
//	after an event failed,          nothing; it comes again
//	before its aggregate is held
//	after that, before its copy     the message itself, which comes again and is the head
//	is published
//	after that, before the ack      two copies of the head: one is handled, the other a duplicate
//	after an event is parked,       the message comes again and is parked already
//	before the ack
//	after the head is handled       the next head, parked: its turn has come, and the owner of the lane, this or another
//	                                then, handles it
//	after a parked head failed and  its row and its copy: it is handled again from the row; then the copy is a duplicate,
//	its copy was published          or the row is deleted and the copy is the head
//	after a dead letter is marked   the letter stays in its queue and the next event is the head; redriven later, it is
//	discarded, before it is removed handled out of order
package parking
