// Package whatif runs the planning workers over the log once more, beside the live fleet, and measures what would have
// become of stock and orders under other rules or another forecast.
//
// # What a run does
//
// Two sides walk through the log together, each on tables of its own (store/whatif): one with the rules and the
// method of today, one with the changed ones. A third, the one that happened, is only measured. The workers are the
// fleet's: ledger, forecasting, replenishment and approval handle the events by Worker.Handle, as a slot does,
// without a broker; what one emits is handed to the next. There is no second implementation of planning.
//
// # What is taken from the log, and what is not
//
//   - Sales, returns, transfers, adjustments and receipts that are not for an order of the run's own are taken as they
//     are, in the order of the log, with their business times.
//   - Goods of an order that the run makes arrive after the supplier's lead time, to the minute, in business time.
//     Receipts of the orders that planning really made in the span are left out; orders awaited at its beginning, and
//     their receipts, are facts.
//   - A count tells by how much the books were wrong. Where the run has more or less on hand than there was, since
//     its own orders have brought more or less, the count finds as much more or less, and not less than nothing.
//   - An order that the policy leaves to a person is taken for approved at once, and counted. Nothing is rejected.
//   - Rules and master data are those of now, from the beginning of the span. RULE_CHANGED is not taken.
//   - Sales beyond stock make the position negative, as in the live ledger: they are counted as short, and not as
//     lost.
//
// # Invariants
//
//   - The same log, rules and span give the same figures: the order of everything is that of the log, of business
//     times and of ids; no clock is asked.
//   - All three columns are measured by one code over the same kind of events: INVENTORY_UPDATED, INVENTORY_LOW_STOCK
//     and PURCHASE_ORDER_CREATED.
//   - With the rules that were in force, and goods that came when the lead time says, a side emits the very events
//     that the live fleet emitted, with the same ids.
//   - A batch spans an hour of business time at most, so that what it orders arrives after it; an order with a lead
//     time of no day arrives with the next batch.
//   - Memory grows with the positions and the goods on their way, and not with the log.
//
// # What goes wrong, and what then
//
//	a worker rejects an event        the live one rejected it too (a sum beyond what an event carries): Run ends with the
//	                                 error, since a column without it would compare nothing
//	a side fails                     the other ends too, nothing is reported, the schemas are dropped
//	the process is killed            nothing was written but the schemas: store/whatif
//	the log grows meanwhile          what is logged after the beginning of the walk is not read
//	the live fleet lags behind       receipts that it has not booked yet are taken for goods without an order: run it
//	                                 when the queues are empty
package whatif
