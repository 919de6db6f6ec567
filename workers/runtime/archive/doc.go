// Package archive moves old partitions of the log into files, and verifies these.
//
// A partition at a time, the oldest first, and only in this order (store/archive has the invariants, and what a crash
// leaves after each step):
//
//  1. Nothing needs it any more.
//  2. It is written to NAME.new, and the file flushed to the disk.
//  3. The file is read back: each event has its body's hash, the seals list these events and no other, and the chain of
//     seals goes through them.
//  4. The file is renamed, the directory flushed, and the file's digest read once more under its name.
//  5. In one transaction: nothing needs the partition still, the file is noted, the opening balances are moved, the
//     operator log has an entry, and the partition is dropped.
//
// A file that stands under the name already is replaced only by the same bytes: it may be another log's.
package archive
