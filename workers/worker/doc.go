// Package worker says what a worker is, and runs one.
//
// A worker declares what it hears and decides what follows; its signature is its
// subscription. Everything else is the harness's: it takes messages off the
// worker's queue in batches, decodes them, opens one transaction, asks the inbox
// which are new, calls the handler, appends what the handler emitted to the log,
// commits, and only then acknowledges.
//
// # Invariants
//
//   - An event's effect, its row in the worker's inbox and the events it caused
//     are committed in one transaction. A second delivery finds the row and
//     does nothing.
//   - A message is acknowledged only after its fate is durable: its transaction
//     committed, or the broker's confirm of its copy on the ladder or among the
//     dead letters received.
//   - What cannot be any message's fault (the database is away, this process is
//     stopping, the ladder is not declared) costs no message an attempt: it is
//     kept in hand. Nor does a dependency that is away: its messages wait on the
//     ladder (gates.go).
//   - A failed try is in the journal before its message is sent on (judge.go).
//   - One message that fails takes no other with it: a batch that fails is done
//     again one message at a time.
//
// # What a crash leaves, step by step
//
//	before the commit            nothing; the broker delivers again
//	after the commit, no ack     the effect; the second delivery is a duplicate
//	after publishing to the      a copy on the ladder or among the dead, and the
//	ladder, no ack               message itself again: two copies, one effect,
//	                             since the inbox decides; audit counts copies
//	while a handler runs, again  the message is poison; see below
//	and again
//
// # Careful slots
//
// The broker counts deliveries. One that comes for the fourth time (three
// deliveries before) makes its slot careful: a new channel with a prefetch of
// one, one message a transaction, and the message is noted in the table suspect
// before it is tried. The note is removed when the try ends, well or badly, and
// also when it ends for no fault of the message's: by a lost session, or because
// the process was told to stop. A note still there at the next try means that
// the process died with the message in hand; after three such deaths it goes to
// the dead letters. One suspect is tried at a time in a whole process, so that a
// death is written against the one it was died of. Its former neighbours have
// the same delivery count through no fault of their own: they are noted, handled
// and forgotten, each alone. The first message with a lower count ends the
// carefulness.
//
// # Where the code is
//
//	worker.go    what a worker is: declarations
//	call.go      effects outside the database
//	timer.go     work that no message asks for
//	runner.go    a worker in this process: its sessions
//	slot.go      one consumer: take, finish, acknowledge
//	handle.go    what becomes of what was taken
//	desk.go      the transaction: read, claim, handle, say
//	verdict.go   what an error says, and which rung follows from it
//	judge.go     the journal of failures, the ladder and the dead letters
//	gates.go     dependencies that are away
//	rest.go      a slot that has nothing but waits
//	rehearse.go  what would become of a message, without a trace
//	suspect.go   carefulness
//	patience.go  waiting for the database
package worker
