// Package chaos finds out whether the promise holds: it runs a whole fleet against servers of its own, breaks everything there is to break
// at random times, heals it, and proves at the end that nothing is lost and nothing applied twice.
//
// # What is run
//
// A private PostgreSQL and a private RabbitMQ on loopback (deploy/local); no others can be named. Two processes of this same program, each
// with a ticker, a relay and every worker, so that leaders and consumers are doubled. Each has a network of its own to both servers
// (deploy/chaos/proxy). A supplier of its own takes the orders. Somebody outside says sales, returns, receipts, transfers and adjustments
// by both roads: through the log by admission, and straight over AMQP; some of them twice, some with another content under a known id, and
// some messages that are no events. That somebody goes around the proxies, and says everything until it was heard: until the
// commit or the confirm is there, as a till does.
//
// # The schedule
//
// The seed alone decides which faults come, in which order, against whom, for how long, and which events are said: see Plan and Sayings. A
// step of the schedule is one fault or two of different kinds at once. The next one begins when the fleet has recovered from it, or when
// the patience for that is at an end. So the faults of a seed are the same everywhere, and a slow machine takes longer over them.
//
// # Recovery
//
// After a heal an event is admitted, and it is measured how long it takes, from the end of the heal, until every worker that owes it, or what
// follows from it, has handled it, and every queue has all its consumers again, those of both processes. It goes behind
// whatever backlog there is. More than Limit is a finding.
//
// # The proof
//
// First composerp's own audit, which waits for the fleet to come to rest. Then an arithmetic that shares nothing with it: what was said is
// known, so every stock is known to the piece, and for each event the movements and the inboxes' rows are counted; a message that is no
// event must be among the dead letters of everyone who heard it; the supplier must have every approved order, once. A process of the fleet
// that ends by itself once it was up is a finding, and so is one that does not end when it is told to.
//
// # What holds
//
//   - Nothing outside of a directory of its own is touched. Servers and fleet end with this process, however it ends.
//   - A run ends in bounded time, whatever hangs: every wait has a deadline, and all of them are under one.
//   - What could not be injected, because the other fault of the step stood in the way, is said to be skipped and not counted as survived.
//   - What chaos itself cannot do is an error of the run and no verdict.
package chaos
