// Package audit proves that nothing is lost and nothing applied twice.
//
// The arithmetic is the store's (store/audit.go): what the log owes, what was
// handled, what moved. It can only be held against a fleet at rest, for a message
// in a queue is neither handled nor lost. So this package first waits until the
// fleet is quiet, then has the store prove, and holds the queues against it.
//
// # When the fleet is quiet
//
// At a look, all of this must hold: the relay has passed every event; every
// worker's queue and every rung of every ladder is empty; the journal of dead
// letters is drained; no message is in a worker's hand; and no event has entered
// the log since the look before. The depths are exact. What is in hand only the
// management API knows, and its figures are some seconds old. So the fleet is
// quiet once every look has said so for longer than the figures may be old: then
// they, too, tell of a fleet at rest.
//
// # Invariants
//
//   - The proof is of the state that was quiet. It counts the events that came
//     between the last look and its own snapshot, and if there are any, all of it
//     is done again.
//   - What could not be looked at is said, never passed: a check without an
//     answer is marked as skipped and gives the reason.
//   - A fleet that does not come to rest in time is "in flight", with the names
//     and depths of what is not at rest. That is no verdict on the rest.
//   - Nothing is changed: no message is taken from a queue, no row is written.
//
// # What it cannot see
//
// A message that came straight over AMQP, is in no log yet and was lost by the
// broker itself: nobody but its sender has ever known of it. And without the
// management API: what is in a worker's hand, and what stands in messages_dlx.
// An event from the log that is in hand is found all the same, as not handled.
package audit
