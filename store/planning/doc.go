// Package planning keeps what forecasting and replenishment work with: demand by day, forecasts and the runs that
// compute them, the state of each position that may need an order, and the service level that came of it.
//
// Invariants:
//
//   - Demand of a day is a sum and right once all its events have arrived, in whatever order (demand.go).
//   - What is in transit to a position is a sum as well (transfer.go).
//   - Forecasts of a location are computed in the order of their days; a run that is due stays until it is done.
//   - The row lock of replenishment_state protects a position's order lines, bookings and forecasts
//     (replenishment.go).
//
// Rows are made before any is locked, and locked in key order. A crash loses at most one transaction, which its event
// or its forecast run brings back.
package planning
