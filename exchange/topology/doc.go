// Package topology computes what the broker must hold for a fleet (exchanges, queues, bindings) from the subscriptions
// of its workers, and compares that with what a broker holds.
//
// Invariants: Compute is pure, and the same subscriptions in any order give the same topology. Everything in it is
// durable; every queue of a worker has its retry queues and its dead-letter queue, and no message that leaves a queue
// by expiry or by the delivery limit is dropped.
//
// Package rabbitmq declares a topology in its order. A crash in between leaves the rest missing, for the next start or
// the watchdog to declare.
package topology
