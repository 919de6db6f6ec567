// Package archive keeps old partitions of the log as files, and reads them.
//
// The log grows for ever unless its oldest partitions leave the database. A partition is written to a file, and in one
// transaction it is dropped, its file noted, and each position's opening balance moved up to the cut: the position of
// the log before which everything is in files.
//
//	archives            | the log
//	events-0..999999    | 1000000 . . . . . . . .
//	                    ^ cut
//
// # The file
//
// One event a line, JSON, compressed by zstd: any tool that reads .zst reads it. A line has what the log's row has; the
// field body is the envelope byte for byte. The file is a row of frames, each of at most frameRows lines, and ends with
// an index of them in a frame that other tools skip: a reader goes to a position without reading what is before it, and
// needs the memory of one frame.
//
// # Invariants
//
//   - Only the oldest partition of the log is dropped, so that archives adjoin and the cut is one position.
//   - A partition is dropped only when nothing in the database has still to read it: it is full, sealed, proven by an
//     audit, passed by every cursor (relay, stream, rebuilds), by each replay that is not at its end, and by the tables
//     that a projection has kept. Held is the list of what it waits for.
//   - This is asked again under a lock beside which no transaction reads or writes the log. A reader that begins
//     notes itself first (a cursor, a replay's row) and then reads the cut, which waits for that lock: either the
//     archive sees the note, or the reader the new cut.
//   - What is noted was on the disk before, and has the events that the seals say, each with the body's hash.
//   - One process at a time archives: it holds a lock of the database in the transaction that drops the partition.
//   - The ids of events from outside stay in admission, and movements in the ledger: an event whose partition is gone
//     is refused as a duplicate as before.
//
// # Failure analysis, by the step after which a crash comes
//
//	the file is written (archive.written)     a file NAME.new, which the next run deletes
//	it is read back (archive.verified)        the same
//	it is renamed (archive.renamed)           a file that is not noted: the next run writes the same bytes again, for a
//	                                          sealed partition does not change, and takes the file's place
//	the partition is dropped (archive.dropping), not committed: rolled back, as after the rename
//	the commit (archive.committed)            nothing: the next run goes on with the next partition
//
// A file that was changed, cut or lost later is found by its digest, its frames and the chain of seals: Open refuses
// it, and names it.
package archive
