// Package eventlog is the log of all events, which is also the outbox: what enters it and how it is read.
//
// Events from outside enter by Admit, derived events by Append, each in the transaction of the business change. A
// Ticker writes snapshots, and readers such as the relay go from tick to tick with a Cursor. Partitions are made ahead
// of need.
//
// Invariants:
//
//   - An event from outside is in the log at most once: admission holds its id and the hash of its body.
//   - Every committed event lies between exactly one pair of neighbouring ticks (tick.go), and a reader gets it
//     exactly once, after every earlier event of its aggregate (reader.go).
//   - Both hold across a restore into another server: its log begins a new epoch (epoch.go).
//   - What a consumer has neither handled nor among its dead letters can be found and sent again (pending.go).
//
// A crash leaves a transaction's events all in the log or none; a cursor that has not moved yet reads its page again.
// The analysis of each part stands at the head of its file.
package eventlog
