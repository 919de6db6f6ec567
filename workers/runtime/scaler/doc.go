// Package scaler makes a process that runs workers a node of the fleet: it runs the slots that the leader assigns to
// it, and one node leads.
//
// Each second, and whenever it is notified, a node renews its lease, reads what it is to run, sets its workers'
// slots to that, and reports what they do. The leader reads pools and nodes, decides (Decide) and writes what differs.
//
// # Invariants
//
//   - A node starts no slot before it has read what it is to run.
//   - A node that cannot reach the database keeps the slots it has; its slots then keep their messages in hand, and
//     when it is back it does what it finds.
//   - All slots of a node together are no more than its capacity, which its database pool bears. Slots that drain come
//     on top: they wait for a connection at worst, and each needs one at a time.
//   - A node that ends leaves first, so that others take over while it still drains.
//   - Who assigns is decided by the lease "scaler", and every assignment is written under it (package scaling, which
//     also says what each crash leaves).
//
// A process of a version that knows no nodes runs beside these as it always did: by its flags, and not counted.
// Nothing is handled twice for that, as its slots share the queue like any others.
package scaler
