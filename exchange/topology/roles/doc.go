// Package roles says which users a fleet needs on RabbitMQ, and what each of them may do: the least with which its part
// of the fleet works.
//
// # Roles
//
//	publisher      an external system: publishes events whose routing key begins with integration. to composerp.events
//	relay          publishes the log to composerp.events, .unrouted and .stream, and again to single workers
//	topology       declares, binds and deletes what begins with composerp. (start, watchdog, lanes)
//	operator       works on dead letters and unrouted events
//	monitoring     sees the management API; touches no message
//	worker-NAME    one for each worker: consumes from its queue and its lanes, retries and gives up its own messages
//
// # Invariants
//
// The list is closed and computed: the same subscriptions give the same users, and a new worker gets one. A worker
// configures nothing, reads its own queues alone, and what it writes to composerp.retry and composerp.dead carries the
// name of its own queue, by topic permissions: it can give no message to another worker.
//
// RabbitMQ checks a binding as write on the queue and read on the exchange, the declaration of a queue with a
// dead-letter exchange as read on the queue and write on that exchange ("amq.default" when its name is empty), and of
// an exchange with an alternate exchange likewise. So the role topology has write and read on nearly everything. Topic
// permissions keep it from publishing through composerp.events, composerp.retry and composerp.dead; it can still
// publish to a queue by its name, which a user that may bind and delete queues could not be kept from harming anyway.
//
// RabbitMQ 4.3 wants some permission on a queue for the question whether it exists and what waits in it. For that a
// worker has write on its retry and dead-letter queues and on the dead-letter log's, and the operator on all queues.
// Write on a queue allows a binding to an exchange that the user may read: a worker may read none, the operator
// composerp.retry and composerp.dead.
//
// # Failures
//
// Nothing here has a state. A broker that lacks a user refuses the connection, and one whose permission is too small
// refuses the one act: the connection's owner reports ErrAccessRefused and tries again later, so that a permission that
// is added takes effect without a restart. Messages stay in their queues meanwhile.
package roles
