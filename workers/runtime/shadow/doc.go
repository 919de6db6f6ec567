// Package shadow has a worker of this program handle again what the live worker of its name handles, on copies of its
// tables, and compares what the two emit and write.
//
// The program may be of another version than the fleet: what it would do differently is known before it is deployed.
// Package store/shadow says how the worker comes to the state in which the live one handled each batch, and why nothing
// is written. Here are the windows, the order of the workers in them, and the comparison.
//
// # Invariants
//
//   - The worker handles the live worker's batches, each as one call of its handler. After an error it is called with
//     one event at a time, as the harness does.
//   - Other workers that keep a table which the worker keeps handle their batches too, in their turn: approval finds
//     the orders that replenishment has written. They are not compared.
//   - Each emitted event is compared with the one that has its id; what is left over of a cause, by type and aggregate,
//     in order. All fields count but those that the harness carries on from the message: user, correlation, trace,
//     replay and the time of publishing. The log does not have the message's properties.
//   - A difference does not outlive its window: the next one begins from the live tables.
//
// # What it cannot tell
//
//   - Tables that the worker only reads, such as master data, have the rows of the window's end.
//   - Timers do not run, nor commands. Rows that they wrote are counted as written elsewhere.
//   - Events that the live worker has not handled, since they wait, are parked or dead, do not come.
//   - Slots that work at once may have handled batches in another order than the copies', where none emitted.
//
// A crash leaves nothing, at whatever step: see package store/shadow.
package shadow
