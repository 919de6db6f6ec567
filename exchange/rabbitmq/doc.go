// Package rabbitmq is the client of the broker: it declares the topology, keeps a session, publishes with confirms and
// consumes in batches. It is the only importer of amqp091-go.
//
// # Session
//
// A Session is two connections, one that publishes and one that consumes, with all their channels. They are opened and
// closed together; nothing is ever repaired in place. Delivery tags begin at 1 on every channel, so an acknowledgement
// that outlives its channel would remove another message. Invariants:
//
//   - A Delivery knows the Consumer that took it. Any other refuses to acknowledge it (ErrForeignDelivery), and its
//     own refuses once the session is lost (ErrSessionLost). The broker then redelivers it.
//   - The end of one connection or channel ends the session: Done is closed, Err says why, and every Publish, Wait,
//     Take and Ack returns ErrSessionLost without waiting for the socket.
//   - Only these end alone: a consumer whose queue was deleted (ErrConsumerCancelled), and what its owner closes.
//   - The session itself closes both sockets: a write that hangs on a dead peer holds the library's locks, and only
//     closing the socket under it releases them. This bounds Close.
//
// KeepConnected makes sessions one after another, host after host, with a jittered backoff.
//
// # Publishing
//
// Every message is mandatory, persistent and confirmed, with up to a window of messages in flight. A message that no
// queue takes is returned first and acknowledged after, on the same channel: when a confirmation has arrived, so has
// its return. Returns are matched by exchange, routing key and message id. An exchange with an alternate exchange
// (composerp.events has one) never returns a message: those without a route are in composerp.unrouted. A lost session
// leaves unconfirmed messages in doubt: publish them again under the same id, which consumers recognise.
//
// When the broker does not answer for the oldest message in flight within ConfirmTimeout, the session ends. It never
// answers for a message on its way to a quorum queue that is being deleted.
//
// Messages that wait behind one another leave in one write, and nothing waits for more to come: what is gathered is
// written before the publisher waits for anything. A session that ends meanwhile loses what it would lose in the
// socket's buffer, and the confirms tell.
//
// During a memory or disk alarm the broker stops reading from the publishing connection. Publish then waits, with its
// context; consumers are on the other connection and go on.
//
// # Consuming
//
// The library hands deliveries over an unbuffered channel. A non-blocking drain of it finds one message however many
// have arrived, and a batching consumer would run with batches of one, at a tenth of its speed. So a goroutine moves
// deliveries into a channel as long as the prefetch, and Take drains that.
package rabbitmq
