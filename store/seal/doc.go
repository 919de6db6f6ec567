// Package seal makes the log tamper-evident: it finds an event that was edited, removed or inserted afterwards.
//
// A seal is a row for a range of the log in which nothing is written any more. Its hash is over the hash of the seal
// before and the digests of the range's events, so that the newest hash stands for the whole log up to there:
//
//	log     1 2 3 . 5 | 6 7 . . 10 11 | 12 13 ...
//	seal    1         | 2             |   not sealed yet
//	hash    h1        | h2 = H(h1, 6..11 and their digests)
//
// An event's digest is over its position, its times, its header, and the hash of its body. The body itself is held
// against that hash when the log is verified. Beside the hash a seal has the beginning of each digest: by it Verify
// names the event, where the hash alone would name the range.
//
// Who may write every table can change the log and make the chain anew. So an audit signs the newest seal, with a key
// that is not in the database, and leaves the receipt as a file (Receipt). A chain that was made anew has another hash
// at the receipt's seal.
//
// An event whose fields were erased (store/erasure) has another body than it was logged with, and the old hash. Verify
// reads it as erased where the newest row of erasure has the body's hash, and the key's owner has signed that row.
//
// # Invariants
//
//   - A sealed range is final: the floor (unfinished) is a position that no transaction that is still open, or begins
//     later, can write at or before. So a row that appears in a sealed range was not written by the log.
//   - The ranges adjoin, and each has an event. Positions without one (transactions that were rolled back) belong to
//     the range around them: an event that appears there is found.
//   - What a restore changes is not in the digest: the transaction's id and the epoch. The chain of a restored database
//     goes on where the backup's ended, and a receipt younger than the backup says that the log ends too early.
//   - Of two processes that seal at once one writes the row; the other finds the number taken, and goes on after it.
//
// # Failure analysis
//
// A seal is one row, written by one statement after its range was read. A crash before leaves the range to the next
// call, which reads the same rows, for the range is final; a crash after it leaves nothing to do. A receipt is written
// beside its name and then renamed: it is whole or not there.
//
// What is not found: an event that was changed before its range was sealed (a chore seals every 15 s), and a change
// made together with the chain by a role that may write every table, after the newest receipt that was kept elsewhere.
package seal
