// Package stream holds whether composerp.stream is on, how much it keeps, and how far the log has been copied into it.
//
// composerp.stream is a RabbitMQ stream queue with a copy of every event of the log, from which other programs
// replay. workers/runtime/stream feeds it: its doc has the way of an event. Here are the setting, a row of the
// table stream, and the feeder's cursor, the row "stream" of log_cursor.
//
// # Invariants
//
//   - The cursor is there exactly while the stream is on: Enable and Disable write both in one transaction, and
//     Open makes none. So a feeder that has not yet noticed Disable cannot begin the log anew, and a stream that is off
//     holds no tick back.
//   - A new cursor has term 0, below that of every feeder: a feeder whose cursor was removed moves the new one
//     only after it has opened it.
//   - Where it begins is decided once, by Enable: at the beginning of the log, or at the newest tick.
//
// # What a crash leaves
//
//	Enable, before its commit    nothing; the queue may be declared, and a stream that is off gets no event
//	Enable, after its commit     a stream that is on; its topology is declared by the watchdog
//	Disable                      all or nothing; the queue keeps what it has
//
// The housekeeping may delete a tick while Enable places the cursor at it: it does not see that cursor yet. Open then
// sets the cursor back to the tick before it, so that the stream begins a little earlier and lacks nothing.
package stream
