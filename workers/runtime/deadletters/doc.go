// Package deadletters looks after messages that could not be handled: it lists the queues of dead letters, redrives
// letters to their workers, rehearses what would become of them, and discards them.
//
// Lists come from the dead-letter log (package store/failures) and touch no queue. Redrive and discard act on the
// queue: a walk (walk.go) browses it from the front, asks the dead-letter log which letters are chosen, acts on
// those, and leaves the others where they are, in their order (rabbitmq.QueueBrowser). A letter's entry in the
// dead-letter log is known by its id, which follows from the message.
//
// # Invariants
//
//   - A message leaves its queue of dead letters only after the broker has confirmed its copy to the worker's one
//     queue, or after its line of the export is on disk; and after the dead-letter log has its disposition.
//   - It goes to its worker's queue alone and never to the exchange, where every subscriber would get it again.
//   - A redriven message has all its retries before it; its history stays in its headers and in the dead-letter log.
//   - An interrupted operation is resumed by beginning it again with the same arguments: the queue holds what is
//     left.
//   - Memory does not grow with the queue: of letters that stay only the id is kept, and of redriven ones the ids,
//     to follow their outcome.
//   - An event that may have been handled in a generation of the inbox that is dropped is not redriven without Force
//     (horizon.go): the worker would not recognize it.
//
// # What a crash leaves, step by step
//
//	before the publish            nothing: the broker requeues what was held
//	published, no confirm         perhaps a copy in the worker's queue; the letter
//	                              stays. Redriven again it is a second copy: the
//	                              inbox knows the event
//	confirmed, not marked         the same, with a copy for certain
//	marked, not acknowledged      the same, and the dead-letter log calls it redriven;
//	                              the next walk finds it in the queue, and corrects
//	                              the log
//	acknowledged, and forgotten   the walk counts the queue in the end, and removes
//	by the broker                 again what is there again (rabbitmq.QueueBrowser)
//	exported, not marked          a line in a file that was not needed
//	while a handler is rehearsed  nothing: its transaction is rolled back
//
// # When it stops
//
// Redriven letters may fail again. The walk taps what their worker sends to its retry queues and to the dead letters
// (tracker.go), goes slowly at first (pace.go), waits after each step until the outcome of the last letters is known,
// and stops when too many of them have failed again.
//
// # What it cannot see
//
// A letter that another consumer holds, a shovel or an unacknowledged one of the management UI, is not in the queue
// at that moment: the report counts those that did not come. Letters moved by hand leave no trace: the dead-letter
// log calls them pending until a walk has browsed the whole queue without finding them.
package deadletters
