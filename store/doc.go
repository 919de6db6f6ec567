// Package store is the kernel of everything Composerp keeps in PostgreSQL: connections, transactions, migrations,
// leases, notifications and the database's errors by kind. The subjects are packages below it (eventlog, inbox,
// ledger, ...), each with its SQL beside the function that runs it; only packages under store/ can run SQL.
//
// # The log is the outbox
//
// An event is appended to event_log in the transaction of the business change. Nothing is copied, marked or deleted
// afterwards: the relay, replay, projections and audit read the same table by the same algorithm, PgQ's. A ticker
// writes snapshots ("ticks"); the events between two ticks are those whose transaction the later tick sees and the
// earlier does not.
//
// Invariants:
//
//   - Every committed event lies between exactly one pair of neighbouring ticks, also after the database was restored
//     into another server. A long transaction delays only its own events (store/eventlog).
//   - An event from outside is in the log at most once: admission holds its id and the hash of its body.
//   - A consumer's effect of an event commits together with the event's inbox row, or not at all (store/inbox).
//   - A position is the sum of its movements; the movements of an item sum to zero over real and virtual locations
//     (store/ledger).
//   - A leader's writes are fenced by the term of its lease, inside the same transaction (lease.go).
//
// A crash between two statements leaves the state before the transaction or the state after it. Work that was not
// committed is done again: the broker redelivers, the importer resumes, the relay reads from its cursor. The
// invariants make the repetition harmless.
//
// # Round trips
//
// lib/pq does not pipeline, so the hot paths count statements, not rows: arrays and unnest, prepared once a
// connection.
package store
