// Package watchdog looks at the fleet every other second, mends what may be mended, and says loudly what it can not.
//
// One watchdog leads at a time, by the lease "watchdog". It looks at the log and its leaders, at what the broker holds of
// the topology, at its queues, nodes and permissions, and judges what it sees. Each judgement is a function of one look,
// or of two looks some seconds apart, and of nothing else: `composerp doctor` makes the same ones.
//
//	at once        the broker or the database does not answer; access is refused; an exchange, a queue or a binding is
//	               missing, or has other arguments; a node is down; an alarm of memory or disk
//	if it lasts    nobody leads as ticker or relay; a queue with messages and without consumers, or without consumers
//	               although its worker runs here; messages_dlx that does not shrink; messages in composerp.unrouted
//	if it does     a relay with events to publish, a ticker with events to tell of, a queue with messages and consumers,
//	not move       a journal of dead letters
//	if it grows    queues that will fill the broker's disk, and when
//
// A problem is said once when it begins and once when it is over, by the log and by the gauge composerp_watchdog_problem.
//
// # What it mends
//
// Missing exchanges, queues and bindings are declared again, as `composerp topology apply` would. Nothing is deleted, and
// nothing that is there is changed.
//
// What should have gone to a queue while it, its binding or its exchange was missing is in the log. Once the relay has
// passed everything that it may have published meanwhile, the debts of that consumer are published again (package
// republish), since the last point of the log before which nothing was lost:
//
//   - where only a binding was missing, the relay's place at the last look that saw it: everything before it was
//     confirmed, and routed by that binding;
//   - where the queue was missing, what was in it is gone too. Then it is the relay's place at the last moment after
//     which the queue was seen empty, with its ladder. The figures that say so may be some seconds old, so that the
//     place is taken from a look before those seconds;
//   - where there is no such moment in the watchdog's memory, as far back as the inbox can prove anything.
//
// What came straight over AMQP is in the log only when intake has drained its queue: so there is a second time after
// that, for those events alone. Copies are harmless, and a loss is not: so the point is rather too early than too late.
//
// # What a crash leaves
//
// The next watchdog finds what is still missing and declares it, but does not know the place: it looks as far back as
// the inbox can prove. A crash between the declaration and the publishing leaves no trace of what was lost but the debts
// themselves: audit finds these, and `composerp republish` publishes them.
//
// # Limits
//
// Without the management API it can not see bindings, what is acknowledged, messages_dlx, bytes and nodes, and says so.
// While the database is away nobody leads, and nobody watches.
package watchdog
