// Package unrouted looks after composerp.unrouted, the queue of events that no queue was bound for: it says of each why
// that is so and what helps, publishes again what a queue takes now, and discards the rest.
//
// # Invariants
//
//   - A message leaves the queue only after the broker has confirmed its copy, or after its line of the export is on
//     disk. The others keep their places and their order (rabbitmq.QueueBrowser).
//   - A copy goes to composerp.events, as its publisher sent it; every consumer recognizes it by its id.
//   - There is no table beside the queue: the broker alone has these messages, and a list reads the queue.
//
// # What a crash leaves
//
// Copies at most: what was published, or exported, and not yet acknowledged is still in the queue. The same command
// goes on from there.
package unrouted
