// Package store is the memory of Composerp: the event log and who has handled
// what, the ledger and its read models, all in PostgreSQL. It is the only
// importer of sqlx and lib/pq.
//
// # The log is the outbox
//
// An event is appended to event_log in the transaction of the change it tells
// of. Nothing is copied, marked or deleted afterwards; every reader (relay,
// replay, projections, audit) reads the same table by the same algorithm, PgQ's:
// a ticker writes down snapshots ("ticks"), and the events between two ticks are
// those whose transaction the later one sees and the earlier one does not.
//
// Invariants:
//
//   - Every committed event lies between exactly one pair of neighbouring ticks
//     (tick.go, reader.go). A transaction that stays open delays its own events
//     and nobody else's. It stays so when the database is restored into another
//     server (epoch.go).
//   - An event from outside is in the log at most once: admission has its id
//     and the hash of its body (admission.go).
//   - A consumer's effect of an event is committed together with the event's
//     row in its inbox, or not at all (inbox.go).
//   - A position is the sum of its movements, and the movements of an item sum
//     to zero over real and virtual locations (ledger.go).
//   - What only a leader may do is fenced by the term of its lease inside the
//     same transaction (lease.go).
//
// A crash between any two statements leaves either the state before the
// transaction or the state after it; what was not committed is said again by
// whoever was told to (the broker redelivers, the importer resumes, the relay
// reads from its cursor), and the invariants above make saying it again harmless.
//
// # Round trips
//
// lib/pq does not pipeline, so the hot paths count statements, not rows: arrays
// and unnest, prepared once a connection.
package store
