// Package inbox holds a row for every event a consumer has handled, committed together with the event's effects. It
// grows with the log, so it is kept in generations: rows go to the newest, and old generations are dropped whole
// (drop.go).
//
// Invariant: for each (consumer, event) at most one transaction ever claims it, also across rotations.
//
//   - Within a generation the primary key decides: the second claim waits for the first transaction to end, and gets
//     the event only if that rolled back.
//   - Across generations: a claim holds the rotation lock (shared) from before it reads which generation is the newest
//     until after its commit, and rotation takes it exclusively. So when a claim finds a generation to be the newest,
//     every claim in an older one is committed and visible to it.
//
// Taking the lock is a statement of its own, so that the next statement's snapshot is younger than the lock. In one
// statement the snapshot would be older, and two transactions could each claim in a generation of their own (seen). The
// function claim_new does both in one round trip: each statement of a volatile function has a snapshot of its own.
// Ids are inserted in sorted order, so that two claims of the same events wait for each other instead of deadlocking.
//
// A claim of events that are all expected to be new (ClaimNew) inserts without asking: where the primary key refuses
// one, the transaction is rolled back and the claim made anew, by Claim.
//
// A session may not know the partition of a generation that was opened a moment ago; its claim is then made again, in a
// new transaction (ErrNewGeneration).
//
// A crash rolls the claim back with the effects: the event is redelivered and claimed again.
package inbox
