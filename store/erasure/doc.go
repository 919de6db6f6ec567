// Package erasure erases fields of events that the log has, for a law or a contract that asks for it, and leaves the
// log provable.
//
//	event_log  body         {"payload": {"saleId": "S1", "quantity": 2, "customerId": "17850"}, ...}
//	           body_sha256  h
//	erased     body         {"payload": {"saleId": "S1", "quantity": 2}, "metadata": {"erased": [...]}, ...}
//	           body_sha256  h, as before
//	erasure    seq, event, h, the hash of the stand-in, the fields, who, when, why, a signature
//
// The chain of seals is over body_sha256, so it stays as it is. The body that stands in has another hash, and the row
// of erasure has that: so an erased event reads differently from an edited one (store/seal).
//
// # What can be erased
//
// A stand-in is an event of its type and version like any other: no reader of the log has to know of erasures, and no
// figure changes. So a field can be erased only where no figure is made from it and no event is found by it: one that
// the type's schema does not name, a text (a name or a note), and the user (metadata.userId). An optional field is
// taken out, a required text is replaced by "erased". Everything else is refused with the field's name. The payload as
// a whole is refused for the same reason; "*" erases all of it that can be.
//
// # Invariants
//
//   - The event, its dead letters' bodies, the row of erasure and the entry of the operator log change in one
//     transaction, for a batch of events.
//   - The hash in admission stays: the original is refused as a duplicate when it comes again, and so is the stand-in,
//     as another event with the same id.
//   - An event is not erased while a delivery of it is open: waiting, retried, parked, quarantined, dead, or not yet
//     published. The broker has the original then, and the delivery would bring it back.
//   - An event whose body has another hash than the log or the newest erasure says is not erased: it was edited, and
//     the erasure would hide that.
//   - An event that has nothing left to erase stays as it is: the same command may be repeated.
//   - Archiving and erasing hold one lock (store/archive), and each refuses while the other has it. So no file is
//     written of rows that are erased meanwhile.
//   - What the archives have is erased by writing the file anew, under a name of its own; the table log_archive names
//     one of the two at each moment.
//
// # Who may edit
//
// Who may write every table can edit an event, and add a row of erasure for it. Such a row has no signature of the key
// that audits sign with, which is not in the database: Verify with the public key finds each erasure that the key's
// owner has not signed. Without the key it lists erasures as such, with who, when and why, and finds one that has no
// entry in the operator log. What is not found: a forged erasure with its forged entry, where no key is given; an edit
// by who has the key; the return to an earlier signed stand-in of the same event, for who has kept its bytes.
//
// # Failure analysis, by the step after which a crash comes
//
//	a batch is written (erasure.written)       not committed: rolled back, nothing of the batch is erased
//	a batch is committed (erasure.committed)   the same command goes on with the others
//	an archive is anew (erasure.archived)      a file that is not noted, beside the one that is: written over by the
//	                                           next run
//	it is noted (erasure.noted)                the file before it is still there, with what was erased: the next run
//	                                           deletes it
//
// A run of archiving that was killed between its rename and its commit leaves a file that is not noted, with the bodies
// of then. After an erasure the next run finds that it differs, stops, and says that it is to be deleted.
//
// # What it does not reach
//
// Backups and replicas' delays, the write-ahead log, files that a replay or a query has written, the stream queue until
// its retention ends, messages in composerp.unrouted, and the space of deleted rows until VACUUM. The how-to
// erase-personal-data says what to do about each.
package erasure
