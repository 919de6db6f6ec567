// Package autoscaler decides how many slots a queue should have, from what its
// workers measured themselves. It neither reads nor starts anything: the leader
// gives it a Sample every Interval, and carries out the Decision.
//
// # The rule
//
// With λ the rate of arrivals, depth the messages that are ready or in hand, and
// rate what one slot handles a second in full batches,
//
//	wanted = ⌈(λ/Utilization + depth/drain) / rate⌉
//
// so that the slots keep up with λ at 80 % of their time and work off the backlog
// within the pool's target. Four choices make it hold still:
//
//   - Messages in hand count as backlog. A consumer holds up to a prefetch of
//     messages that the broker no longer counts as ready; a rule that reads the ready
//     ones alone sees an empty queue, stops busy workers, and starts them again when
//     their messages return.
//   - Rate is that of a full batch. Batches grow with the backlog, so a slot that
//     handles single messages slowly has more to give, and "the slots there are
//     suffice" is an answer. Curve says how the rate is known.
//   - Arrivals are counted without those out of retry queues: messages that fail
//     and come back are no demand, though they are backlog while they are here.
//   - What a step up brought is measured (gain.go). Where the database or a lock is
//     the limit, more slots bring nothing: the rule takes back the step, and tries
//     again only after a pause that doubles.
//
// # Bounds
//
// A step up goes to twice the slots or four more, whichever is more, and steps are
// UpPause apart. A step down goes to half at the least, DownPause after any move, and
// only when the most that was wanted within Window is below three quarters of
// what there is. Then the pool's min and max bound the result, and the
// sessions that the database has for slots.
//
// # Holds
//
// The number stays, and says why, while more slots would only wait or make it
// worse: see Hold. An operator's change of min and max acts all the same.
//
// # Invariants
//
//   - desired is between min and max whenever max leaves room, and changes by no more
//     than a step.
//   - A leader that has just begun knows no history: it moves up by what it
//     measures, and down only after it has watched for Window. A change of
//     leader costs a delay, never a wrong move.
//   - The same samples give the same decisions: the clock is the samples'.
package autoscaler
