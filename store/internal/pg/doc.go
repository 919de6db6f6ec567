// Package pg is the door to SQL: pool, transactions, prepared statements, listening, and the driver's errors by kind.
// It is the only importer of sqlx and, but for tests and arrays, of lib/pq; package store offers the part without SQL.
//
// Invariants:
//
//   - Every statement is a registered package variable (SQL), so that one test prepares them all.
//   - No goroutine waits for a connection while it holds one (statement.go).
//   - An error is mapped to its kind once, here (errors.go); a call whose context is done returns the context's error.
//   - Statements, locks and idle transactions end by timeouts of the server, and a dead peer is noticed (dial.go).
//
// After a crash or a lost connection the server rolls the open transaction back. The outcome of a Commit that returned
// an error is unknown.
package pg
