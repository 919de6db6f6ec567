// Package replay publishes events of the log once more, or writes them to a file: to a worker's queue, to an exchange
// that is not the fleet's, or as lines of JSON.
//
// It reads the interval of the log that the replay's row keeps (store/replay), in order, a page at a time, and
// moves the
// row's cursor behind each page. A worker's queue gets events through composerp.retry, to which it is bound by its own
// name, so that no other worker gets them. The body is the one that was published, byte for byte; upcasters apply where
// it is read, as for any message. The header x-replay has the replay's number, and the harness does the rest
// (workers/worker, origin.go).
//
// # Invariants
//
//   - The cursor moves after the confirms of all that it passes, or after the file's lines are on the disk.
//   - Events go out in the order of the log. Memory is bounded by a few pages.
//   - A file has each event once: a resumed replay cuts it to the length that the row has.
//   - A replay that was cancelled, or taken over by another process, stops at its next page.
//
// # What a crash leaves, step by step
//
//	before the row's commit       nothing
//	after reading a page          nothing of it
//	after publishing              copies, at most what was unconfirmed: resume publishes them once more, and inbox or
//	                              handled_again absorb them
//	after the confirms            the same
//	after writing lines           lines past the noted length: resume cuts them off
//	after moving the cursor       nothing to do again
package replay
