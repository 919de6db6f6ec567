// Package gateway takes events over HTTP into the log, and answers questions about events, stock and orders.
//
// A request's key (store/apikeys) says its tenant and its source. Events go through the log's one admission, as those
// of files and of AMQP do: eventlog.Admit decides by business time, currency and id. What it refuses is answered at
// once with its reason, 422 or 409, and is kept nowhere: the sender is there, where a dead letter would wait for an
// operator.
//
// # Invariants
//
//   - An event is answered with 202 or 200 only after the transaction that has it was committed.
//   - Each request is answered by the outcomes of its own events: a bad event of one request refuses no other
//     request's.
//   - What waits is bounded, in requests and in bytes of bodies: beyond them the answer is 503, with Retry-After. A
//     body counts until its events are done with, also when the client has gone.
//   - A body is read only for a request whose key holds.
//   - The tenant of every event that enters, and of every row that is shown, is that of the key.
//
// # Group commit
//
// Requests hand their events to committers and wait. A committer takes what has arrived, without waiting for more, and
// admits it in one transaction. So a lone request is committed at once, and many share the cost of a commit. When a
// transaction fails for another reason than the database's being away, its requests are tried one by one.
//
// # What a crash leaves, step by step
//
//	before the commit              nothing; the client sees its connection end, and sends again
//	after the commit, before the   events in the log; sent again, they are duplicates: 200
//	answer
//	the database ends during the   unknown: 503, and sent again they are admitted or duplicates
//	commit
package gateway
