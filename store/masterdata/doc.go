// Package masterdata keeps items, locations, suppliers, replenishment rules and tenants' settings, and the keys by
// which the other packages name items and positions.
//
// Rows change by edits: a row is read (or begun with defaults), changed, checked as a whole, and written if it
// differs.
//
// Invariant: an edit changes only the fields it names, and of concurrent edits of a row none is lost.
//
//   - An editor first takes an advisory lock, in a statement of its own. So two that both create a row do it one after
//     the other, and the second finds the row of the first.
//   - Workers write some of these rows too: the ledger makes items and locations when it first sees them. Existing
//     rows are read locked; a row created in between meets ON CONFLICT and is overwritten by the edit.
//   - Rows are locked and written in key order.
//
// Edits are rare and a batch takes milliseconds, so the single lock costs nothing. A crash leaves nothing: a batch is
// one transaction, with the RULE_CHANGED events of its rules.
package masterdata
