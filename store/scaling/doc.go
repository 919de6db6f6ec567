// Package scaling holds how many slots each queue is to have (pools), which processes run workers (nodes), and how
// many slots of each queue a node runs (assignments).
//
// An operator writes the desired number of a pool; one leader, elected by a lease, assigns slots to nodes; each node
// reads what is assigned to it and reports what it runs. A queue is named by its worker. A queue that no operator has
// scaled has no desired number: each node runs what its flags say.
//
// # Invariants
//
//   - Assignments are written by the leader alone, in a transaction that holds its lease's row: two leaders never
//     assign at once, and one whose term is over writes nothing.
//   - A node follows its flags for a queue until the leader has assigned that queue's slots for the first time
//     (managed), and again once it has taken them back.
//   - A node whose lease has ended is assigned nothing. The database's clock alone decides when it ends.
//   - Every change of a desired number, and every change of an assignment, is a row of scale_event in the same
//     transaction; every command of an operator is also a row of operator_log.
//   - Slots share a queue, and the inbox decides what is handled: more slots than desired, for a while or for good,
//     change no result. So nothing here needs to be in step with the slots that really run.
//
// # What a crash leaves, step by step
//
//	operator, after the change   a revision that is not assigned: the leader assigns it at its next look
//	leader, before its commit    nothing; the next leader assigns from the same state
//	leader, after its commit     assignments that each node finds by polling, when the notification is lost
//	node, killed                 a lease that ends by itself; the leader then assigns its slots to others
//	node, paused for longer      its slots consume again beside the new ones, which is harmless, until it has renewed
//	than its lease               its lease and read that nothing is assigned to it: then they drain
//	node, while it drains        what any death of a worker leaves (package worker)
//	database away                every node keeps the slots it has
package scaling
