// Package exchange is the road between the workers: it declares what the broker must hold, keeps a session with it,
// publishes with confirms, consumes in batches, and asks the management API. It is the only importer of amqp091-go.
//
// # Session
//
// A Session is two connections, one that publishes and one that consumes, with all their channels. They are born
// together and dropped together; nothing is ever repaired in place. That is on purpose: delivery tags begin at 1 on
// every channel, so an acknowledgement that outlives its channel would remove another message. Invariants:
//
//   - A Delivery knows the Consumer that took it. Any other refuses to acknowledge it (ErrForeignDelivery), and its own
//     refuses once the session is lost (ErrSessionLost). The broker then delivers it again.
//   - Whatever ends one connection or one channel ends the session: Done is closed, Err says why, every Publish, Wait,
//     Take and Ack returns ErrSessionLost without waiting for the socket.
//   - The exceptions are things that end alone: a consumer whose queue was deleted (ErrConsumerCancelled), and what its
//     owner closes.
//   - Both sockets are closed by the session itself, whatever the library does: a write that hangs on a dead peer holds
//     the library's locks, and only closing the socket under it sets them free. This bounds Close.
//
// Maintain makes sessions one after another, host after host, with a jittered back-off.
//
// # Publishing
//
// Everything is mandatory, persistent and confirmed, with up to a window of messages in flight. A message that no queue
// takes is returned first and acknowledged after, on the same channel: when a confirmation has arrived, its return is
// already in our hands. Returns are matched by exchange, routing key and message id. An exchange with an alternate
// exchange (composerp.events has one) never returns anything: what has no route lies in composerp.unrouted.
// A lost session leaves the unconfirmed messages in doubt; they may or may not have arrived. Publish them again under
// the same id: consumers know ids.
//
// A broker that says nothing of the oldest message in flight for ConfirmTimeout loses the session. That happens: of what is
// on its way to a quorum queue that is being deleted, it never says anything.
//
// During a memory or disk alarm the broker stops reading from the publishing connection. Publish then waits, with its
// context; consumers are on the other connection and go on.
//
// # Consuming
//
// The library hands deliveries over an unbuffered channel. Taking "what has arrived" from it finds one message however
// many there are, and a batching consumer would run in batches of one, at a tenth of its speed. So a goroutine moves
// deliveries into a channel as long as the prefetch, and Take empties that.
package rabbitmq
