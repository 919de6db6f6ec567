// Package chaos tests the promise of exactly-once-effective: it runs a whole fleet on servers of its own, injects
// faults at random times, heals them, and proves at the end that nothing is lost and nothing applied twice.
//
// # What runs
//
// A private PostgreSQL and a private RabbitMQ on loopback (deploy/local); other servers cannot be named. Two processes
// of this program, each with a ticker, a relay and every worker, so that every leader and consumer exists twice. Each
// process reaches both servers through proxies of its own (deploy/chaos/proxy). A supplier takes the orders. A
// publisher sends sales, returns, receipts, transfers and adjustments by both routes: through the log by admission,
// and straight over AMQP. Some are sent twice, some have other content under a known id, and some messages are not
// events. The publisher does not use the proxies and repeats everything until the commit or the confirm, as a till
// does.
//
// # The schedule
//
// The seed alone decides which faults are injected, in which order, against what, for how long, and which events are
// published: see Plan and Publications. A step of the schedule is one fault, or two of different groups at once. The
// next step begins when the fleet has recovered, or when the recovery has timed out. The faults of a seed are
// therefore the same on every machine, and a slow machine takes longer.
//
// # Recovery
//
// After a fault is healed an event is admitted. The recovery lasts from the heal until all workers have handled that
// event and the ledger's event that follows from it, and every queue has its consumers from both processes. The event
// queues behind any backlog. A recovery longer than Limit is a finding.
//
// # The proof
//
// First Composerp's own audit, which waits until the fleet has settled. Then a count that shares no code with it: the
// published events are known, so every stock is known to the piece, and for each event the movements and the inbox
// rows are counted. Movements that stockview handled while it had lanes must have kept the order of each position
// (package laneorder). A message that is not an event must be among the dead letters of all its consumers. The
// supplier must have every approved order once. A process of the fleet that exits by itself after it was up is a
// finding, and so is one that does not exit when it is told to.
//
// # What holds
//
//   - Nothing outside of a directory of its own is touched. Servers and fleet end with this process, however it ends.
//   - A run ends in bounded time: every wait has a deadline, and the run has one.
//   - A fault that could not be injected, because the other fault of the step prevented it, is reported as skipped.
//   - What chaos itself cannot do is an error of the run and not a verdict.
package chaos
