// Package worker declares and runs workers.
//
// A worker declares what it subscribes to and handles events; its handlers'
// signatures are its subscription. The rest is the harness's, one chain:
//
//	take         a batch of messages from the worker's queue     slot.take
//	decode       each message to an event                        Worker.decode
//	claim        the events that are new to the worker's inbox   processor.claim
//	handle       call the handler                                processor.handle
//	emit         append what the handler emitted to the log      Tx.emit
//	commit       one transaction: inbox rows, effects, events    Tx.commit
//	acknowledge  the messages                                    slot.finish
//
// slot.consume takes and acknowledges, slot.process decodes (origin.go says what is
// believed of a message), and processor.process
// does the four steps of the transaction. A call to the outside world is made
// between two transactions: processor.processCall.
//
// # Failure policies
//
// When a step fails, these decide about the message, a file each:
//
//	outage.go      the database is away: messages are kept in hand
//	split.go       a batch that failed is processed one message at a time
//	retry.go       the message waits in a retry queue, or becomes a dead letter
//	quarantine.go  events that fail alike become dead letters at once
//	deferral.go    the message waits for its dependency and keeps its attempts
//	breaker.go     a dependency that is away is not called
//	limit.go       a dependency is called only so often at once
//	isolation.go   a message that kills the process is found and set apart
//	parking.go     of an ordered worker: the events behind one that failed wait
//
// # How an event reaches the queue
//
// Tx.emit appends the event to the log. The ticker (eventlog.Ticker, which
// cli/fleet runs under the lease "ticker") makes a tick, which makes the event
// visible to the relay. The relay (workers/runtime/relay) publishes it to the
// exchange topology.Events with its type's routing key. The binding that
// Topology.addWorker (exchange/topology) declares for the worker's Subscription
// leads from there to the worker's queue.
//
// # Invariants
//
//   - An event's effect, its row in the worker's inbox and the events it caused
//     are committed in one transaction. A second delivery finds the row and
//     does nothing.
//   - A message is acknowledged only after its outcome is durable: its transaction
//     committed, or the broker's confirm of its copy in a retry queue or among the
//     dead letters received.
//   - A fault that no message caused (the database is away, the process stops, a
//     retry queue is not declared) costs no message an attempt: messages are kept
//     in hand. Nor does a dependency that is away: its messages wait in a retry queue.
//   - A failed attempt is recorded before its message is sent on.
//   - A message that fails takes no other with it.
//   - Where the time of a late delivery went is committed with its effect: packages timing and store/delays.
//
// # What a crash leaves, step by step
//
//	before the commit            nothing; the broker delivers again
//	after the commit, no ack     the effect; the second delivery is a duplicate
//	after publishing to a        a copy in the retry queue or among the dead
//	retry queue, no ack          letters, and the message itself again: two
//	                             copies, one effect, since the inbox decides; the
//	                             audit counts copies
//	while a handler runs, again  the message is suspect: see isolation.go
//	and again
//
// # Where the code is
//
//	worker.go     declarations: On, OnBatch, OnMessages and their options
//	call.go       OnCall: effects outside the database
//	timer.go      Every: work that no message asks for
//	tx.go         what a handler may do: Emit
//	outcome.go    what a handler's error means: Reject, Unavailable, ...
//	runner.go     a worker in this process: its sessions
//	slots.go      how many slots there are, while it runs
//	slot.go       one consumer: take, decode, acknowledge
//	lanes.go      slots that handle the events of an aggregate in order
//	origin.go     which messages came through the log, and which a replay published
//	processor.go  one transaction: claim, handle, emit, commit
//	rehearse.go   the same, rolled back
package worker
