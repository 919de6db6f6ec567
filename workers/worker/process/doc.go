// Package process runs processes: what goes on for days and is moved by events, by timers and by people, such as the
// approval of an order. A process is declared as a table of transitions (Definition). An instance is what it is for one
// thing, its correlation: this order.
//
// # Invariants
//
//   - State, steps, timers, and what an action writes or emits are in one transaction, that of the worker's batch, of
//     the timer, or of the person's command. There is no message between them that could be lost, and no timer whose
//     state is not stored.
//   - An input, an event by its id, moves an instance once. Its step is in process_step for ever; the same input again
//     changes nothing, whatever the inbox knows.
//   - An instance is moved only under the lock of its row, and only by a transition of the table: of two inputs at once
//     the second sees what the first has done.
//   - An input that a transition of a later state takes is kept (process_early), and taken as soon as the instance
//     comes to that state: also one that comes before the instance has begun. An input that no state can take any
//     more is late: it is written down as a step that changed nothing.
//   - A timer ends when its instance comes to a state that has no transition for it. So no timer of a former state
//     fires.
//   - A timer whose action fails is tried again, ever more seldom up to an hour, and stands in the instance's
//     trouble; it delays no other instance. An event whose action fails fails its batch, and is retried as any event.
//
// # What a crash leaves, step by step
//
//	before the commit             nothing: the event comes again, the timer is still due, the person sees an error
//	after the commit, no ack      the second delivery is a duplicate
//	between two timers            each is a transaction of its own: the others are still due
//	a process with a timer in     its row's lock ends with its session; another process takes the timer
//	hand is stopped (not killed)
//
// # Two at once
//
// Two inputs that would begin one instance meet in the primary key: the second waits for the first's commit. A timer
// passes over an instance that another transaction has locked, and fires afterwards if it is still set.
package process
