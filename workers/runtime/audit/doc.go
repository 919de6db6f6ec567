// Package audit proves that nothing is lost and nothing applied twice.
//
// The arithmetic is in package store/audit: what is pending, what was handled, what moved. This package knows where
// messages are. It waits until the fleet is quiet, has the store prove, and checks the queues against it. A fleet
// that does not become quiet is proven all the same, except for what is on its way.
//
// # When the fleet is quiet
//
// In a snapshot, all of this must hold: the relay has passed every event; every worker's queue and every retry queue
// is empty; every dead letter is recorded; no message is unacknowledged; and no event has entered the log since the
// snapshot before. The depths are exact. Only the management API knows what is unacknowledged, and its figures are
// some seconds old. So the fleet is quiet once every snapshot has shown it for longer than the figures may be old:
// then the figures, too, are of a fleet at rest, and an event that is not handled is lost.
//
// # Under load
//
// An event that is not handled may be on its way then. It is called lost only if no delay can explain it: it was
// published before the history of snapshots began (history.go), and during that history there were, at some moment,
// fewer messages of that worker anywhere than events that it has still not handled. With little load a queue is empty
// now and then, and each single loss is found; where a queue never runs that short, the loss is in flight until it
// does, and the report tells how old the oldest is. All that does not wait for a message, a movement that is gone for
// instance, is found under any load.
//
// # Verdicts
//
//   - proven: the fleet was quiet, and everything that could be checked adds up.
//   - in flight: nothing is wrong. Everything that the log had up to a moment is proven, and later everything but
//     what is named as being on its way.
//   - findings: something does not add up, whatever else may be on its way.
//
// # Invariants
//
//   - The proof is of one state. If an event that is not handled entered the log after the last snapshot, the fleet
//     was not quiet: all of it is done again.
//   - Delay alone is never a finding.
//   - A check without an answer never passes: it is marked as skipped, with the reason.
//   - No message leaves a queue. No row is written but the checkpoint that the next audit goes on from, and
//     corrections of the dead-letter log by what is in the queues.
//
// # What it cannot see
//
// A message that came straight over AMQP, is in no log yet and was lost by the broker itself: only its sender knows
// of it. And without the management API: what is unacknowledged, and what is in messages_dlx. An event from the log
// that is unacknowledged is found all the same, as not handled. Package store/audit tells what an audit since a
// checkpoint does not see, and a full one does.
package audit
