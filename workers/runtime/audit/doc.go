// Package audit proves that nothing is lost and nothing applied twice.
//
// The arithmetic is the store's (store/audit.go): what the log owes, what was
// handled, what moved. This package knows where messages are. It waits until the
// fleet is quiet, has the store prove, and holds the queues against it. A fleet
// that does not become quiet is proven all the same, but for what is on its way.
//
// # When the fleet is quiet
//
// At a look, all of this must hold: the relay has passed every event; every
// worker's queue and every rung of every ladder is empty; the journal of dead
// letters is drained; no message is in a worker's hand; and no event has entered
// the log since the look before. The depths are exact. What is in hand only the
// management API knows, and its figures are some seconds old. So the fleet is
// quiet once every look has said so for longer than the figures may be old: then
// they, too, tell of a fleet at rest, and whatever is not handled is lost.
//
// # Beside the load
//
// An event that is not handled may be on its way then. It is called lost only if
// that can be meant by no delay: it was published before the last while began
// (watch.go), and during that while there were, at some moment, fewer messages of
// that worker anywhere than events that it has still not handled. With little
// load a queue is empty now and then, and each single loss is found; where a queue
// never runs as short as that, the loss is in flight until it does, and the report
// tells how old the oldest is. All that does not wait for a message, a movement
// that is gone for instance, is found beside any load.
//
// # Verdicts
//
//   - proven: the fleet was quiet, and everything that could be looked at adds up.
//   - in flight: nothing is wrong. Everything that the log had up to a moment is
//     proven, and later everything but what is named as being on its way.
//   - findings: something does not add up, whatever else may be on its way.
//
// # Invariants
//
//   - The proof is of one state. If what is not handled entered the log after the
//     last look, the fleet was not quiet: all of it is done again.
//   - Delay alone is never a finding.
//   - What could not be looked at is said, never passed: a check without an
//     answer is marked as skipped and gives the reason.
//   - No message leaves a queue, and no row is written but the audit's own, the
//     checkpoint that the next audit goes on from (store/audit_checkpoint.go), and
//     what the journal of dead letters has missed of those that lie in their queues.
//
// # What it cannot see
//
// A message that came straight over AMQP, is in no log yet and was lost by the
// broker itself: nobody but its sender has ever known of it. And without the
// management API: what is in a worker's hand, and what stands in messages_dlx.
// An event from the log that is in hand is found all the same, as not handled.
// What an audit since a checkpoint does not see, and a full one does, is told in
// store/audit.go.
package audit
