// Package watchdog observes the fleet every other second, repairs what may be repaired, and reports the rest as
// problems.
//
// One watchdog leads at a time, by the lease "watchdog". It takes snapshots (package observer) and judges them. Each
// judgement is a function of one snapshot, or of two some seconds apart, and of nothing else: `composerp doctor`
// makes the same ones.
//
//	at once        the broker or the database does not answer; access is refused; an exchange, a queue or a binding is
//	               missing, or has other arguments; a node is down; an alarm of memory or disk
//	if it lasts    no ticker or relay leads; a queue with messages and without consumers, or without consumers
//	               although its worker runs here; messages_dlx that does not shrink; messages in composerp.unrouted
//	if it does     a relay with events to publish, a ticker with events to cover, a queue with messages and consumers,
//	not move       a dead-letter log that does not record
//	if it grows    queues that will fill the broker's disk, and when
//
// A problem is logged once when it begins and once when it is resolved; the gauge composerp_watchdog_problem counts
// it meanwhile.
//
// # What it repairs
//
// Missing exchanges, queues and bindings are declared again, as `composerp topology apply` would. Nothing is deleted,
// and nothing that exists is changed.
//
// What should have gone to a queue while it, its binding or its exchange was missing is in the log. Once the relay
// has passed everything that it may have published meanwhile, the pending deliveries of that consumer are republished
// (package republish), since the last position of the log before which nothing was lost:
//
//   - where only a binding was missing, the relay's position at the last snapshot that showed the binding: everything
//     before it was confirmed, and routed by that binding;
//   - where the queue was missing, what was in it is gone too. Then it is the relay's position at the last moment after
//     which the queue and its retry queues were seen empty. The figures that say so may be some seconds old, so the
//     position is taken from a snapshot before those seconds;
//   - where the watchdog knows of no such moment, as far back as the inbox can prove anything.
//
// Missing bindings are declared anew: removed first, in case the broker kept one that does not route (declareAnew).
// A crash between the declaration of their exchange and that leaves such a binding listed, and so does a deletion of
// the exchange that is over before the next snapshot. Therefore the watchdog also searches, each Trend, for pending
// deliveries up to a position that the consumer's queue has left behind: with queue and retry queues empty and the
// dead-letter log at its end, they are in no queue. It records a gap since the last search, at most 20,000 positions
// back, and declares the consumer's bindings anew. Each stretch of the log is searched once, so a consumer that
// acknowledges what it does not handle gets each event once more, not for ever. What was lost before that is audit's
// to find.
//
// What came straight over AMQP is in the log only when intake has drained its queue: so there is a second time after
// that, for those events alone. Copies are harmless and a loss is not, so the position is rather too early than too
// late.
//
// # What a crash leaves
//
// The next watchdog finds what is still missing and declares it, but does not know the position: it goes as far back
// as the inbox can prove. A crash between the declaration and the publishing leaves no trace of what was lost but the
// pending deliveries themselves: audit finds these, and `composerp republish` publishes them.
//
// # Limits
//
// Without the management API it cannot see bindings, what is acknowledged, messages_dlx, bytes and nodes, and reports
// that. While the database is away no watchdog leads.
package watchdog
