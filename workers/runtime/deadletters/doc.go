// Package deadletter looks after the messages that could not be handled: it
// tells what lies in the queues of dead letters, puts letters back to their
// workers, rehearses what would become of them, and takes them away.
//
// Looking is done in the journal (store/deadletter.go) and touches no queue.
// Acting is done on the queue: a walk (walk.go) goes through it from the front,
// asks the journal which letters are chosen, acts on those, and leaves the others
// where they are, in their order (exchange/sieve.go). A letter's entry in the
// journal is known by its id, which follows from the message.
//
// # Invariants
//
//   - A message leaves its queue of dead letters only after the broker has
//     confirmed its copy to the worker's one queue, or after its line of the export
//     is on disk; and after the journal says so.
//   - It goes to its worker's queue alone and never to the exchange, where every
//     subscriber would get it again.
//   - What is put back has a whole ladder before it; its history stays in its
//     headers and in the journal.
//   - Nobody is needed to go on: what was interrupted is begun again, with the same
//     words, and finds in the queue what is left.
//   - Memory does not grow with the queue: of what is seen and stays only the id is
//     remembered, and of what was put back the ids, to see how they fare.
//   - An event that may have been handled in a generation of the inbox that is
//     dropped is not put back unasked (horizon.go): the worker would not know it.
//
// # What a crash leaves, step by step
//
//	before the publish            nothing: the broker gives back what was held
//	published, no confirm         perhaps a copy in the worker's queue; the letter
//	                              lies where it lay. Redriven again it is a second
//	                              copy: the inbox knows the event
//	confirmed, not marked         the same, with a copy for certain
//	marked, not acknowledged      the same, and the journal says that it was put
//	                              back; the next walk finds it in the queue, and
//	                              the journal is put right
//	acknowledged, and forgotten   the walk counts the queue in the end, and takes out
//	by the broker                 once more what is there again (exchange/sieve.go)
//	exported, not marked          a line in a file that was not needed
//	while a handler is rehearsed  nothing: its transaction is rolled back
//
// # What it stops at
//
// What was put back may fail again. The walk overhears what its worker sends to
// the ladder and to the dead letters meanwhile (watch.go), goes slowly at first
// (pace.go), waits after each step until it is known how the last ones fared, and
// ends when too many of them have failed again.
//
// # What it cannot see
//
// A letter that lies in another's hand, a shovel's or an unacknowledged one of the
// management UI, is not in the queue at that moment. It is said how many did not
// come. Somebody who moves letters by hand tells nobody: the journal says that
// they lie until a walk has gone through the whole queue and missed them.
package deadletters
