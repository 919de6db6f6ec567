// Package failures keeps what went wrong and the policies that follow from it: the failure log and quarantine of
// classes of failing events, the circuit breakers of dependencies, suspect messages, and the dead-letter log.
//
// Invariants:
//
//   - A failed attempt is recorded before its message is retried or dead-lettered (failure.go).
//   - A class is quarantined by distinct events, and only by failures that count (quarantine.go).
//   - While a circuit is open one probe goes through at a time (circuit.go).
//   - A death counts for a suspect message only when it was in hand alone (suspect.go).
//   - A dead letter's row says pending until a process records that it takes the message out (deadletter.go).
//
// A crash between record and message leaves a record too many: the attempt is recorded again under the same id, and
// the next walk through a dead-letter queue corrects the log.
package failures
