// Package purchasing keeps purchase orders: their lines, the decisions about them, what they add to on order, and
// their dispatch to suppliers.
//
// An order is written in the transaction that emits PURCHASE_ORDER_CREATED, under the lock of the position that needs
// it (planning.Replenishments). The open quantity of its lines is the position's on order; each change of that is
// booked in on_order_booking.
//
// Invariants:
//
//   - On order is the sum of the open lines and of the bookings; PurchasingProblemsSQL compares the three.
//   - The status of an order is decided under its own row's lock, once, from PENDING. Lines do not depend on it: they
//     close when their goods arrive, or when replenishment handles the cancellation.
//   - The dispatch status follows from recorded facts and cannot contradict them (dispatch.go).
//
// A crash around a supplier's call leaves a call begun without an answer: it is made again with the same request.
package purchasing
