// Package audit proves by arithmetic what the rest of the store promises. Each check is one statement that covers
// everything it is about and names what is inconsistent. It shares no code with the ledger or the harness, and reads
// the events' bodies itself, so that a mistake there is not repeated here.
//
// Invariants:
//
//   - All checks see one state: they run in one REPEATABLE READ transaction, which blocks only the dropping of an
//     inbox generation.
//   - A check never passes because it could not read: that is an error, and a check without rows has a count of 0.
//   - A late event is never reported as wrong. A consumer's inbox row, effect and emitted events commit together, so
//     whatever one snapshot shows is consistent, except for deliveries still pending. These are open (open.go):
//     excused by name, event by event, and nothing else is.
//   - What was proven is not checked again (checkpoint.go), and nothing is left out: each event, delivery and movement
//     is judged once by some audit, or is open in the newest checkpoint.
//
// An audit writes only its checkpoint, in its own transaction: a crash leaves it whole or not at all.
//
// # What an audit since a checkpoint cannot see
//
// It trusts that what was proven stays as it was. It does not see an old row that was changed or deleted, unless a
// position, a read model or a later row no longer agrees; nor an extra row without references in a page of admission,
// movement or the inbox that had room; nor a second copy of an old derived event other than INVENTORY_UPDATED. Nothing
// here writes such rows; a manual change may. Scope.Full checks everything, as the first audit does.
//
// Messages in queues or with a consumer cannot be seen from here. The caller of Run has observed them, and says what
// it knows (workers/runtime/audit).
package audit
