// Package stream feeds composerp.stream, a RabbitMQ stream queue, with a copy of the log: any AMQP 0-9-1 client
// attaches to it where it likes and replays (docs/howto/read-the-stream.md). It is off unless an operator has
// switched it on; package store/stream holds that.
//
// One feeder leads at a time, under a lease of its own and beside the relay: a stream that stands still delays no
// worker. It reads the log from its own cursor, in log order, and not what the broker routes: so it has every event
// once it is logged, also those of external publishers, and needs no binding to composerp.events.
//
// # Invariants
//
//   - Everything the cursor has passed was confirmed by the broker, or is in the log of the process as left out.
//   - The first copies of events stand in the stream in the order in which the log is read: no event before an earlier
//     one of its aggregate.
//   - A message that is in the stream twice has the same x-log-seq, the same message id and the same body. Between one
//     copy and the next stand at most Copies messages, and the events of transactions that committed in between with
//     lower positions.
//   - The cursor moves by compare-and-set under the lease's term. A feeder that slept through its lease, or through
//     switching off, can publish copies and cannot move the cursor.
//
// # What a crash leaves, step by step
//
//	after reading            nothing; the next feeder reads from the cursor
//	after publishing         copies: at most what lay between the cursor and the crash is published again
//	after the confirms       the same
//	after moving the cursor  nothing to do again
//	switched off meanwhile   what was published until then; the cursor is gone, and the feeder ends
//	queue or exchange gone   nothing is confirmed: the feeder waits until the watchdog has declared them again. What a
//	                         deleted queue held is in no new one; switching off and on from the beginning copies it anew
//
// An event that the broker will never take (too large for it) is left out, counted and logged.
package stream
