// Package bench measures how much of what the machine allows Composerp reaches.
//
// # The reference
//
// The limit is a program without a harness, in this package (reference.go): a table of committed events, one relay that publishes them
// with 1024 confirms in flight, a topic exchange, a quorum queue, and one consumer that makes batches of 200 into one set-based statement:
// inbox, movement, position. It has no leases, no ticks, no retries, no schema, one kind of event, and nobody could operate it. It is as
// fast as PostgreSQL, RabbitMQ and these drivers get.
//
// # What is measured
//
//   - Same work: the same events, in Composerp's own log, carried by the real relay and handled in the real harness by a worker that does
//     what the reference's consumer does: inbox, movement, position, nothing said on.
//   - The ledger: the real ledger worker, which keeps double entries (two movements and two positions a sale) and says INVENTORY_UPDATED of
//     each, which the relay publishes as well; a queue that nobody drains takes it. Done when all sales are applied and all updates confirmed.
//   - The whole fleet: every worker, a rule for every item that follows weekly forecasts, orders approved by policy. Eight weeks of business
//     time; done when all that followed from the sales, and from what followed, has been handled by everyone who hears it.
//   - Idle: one sale at a time, 20 ms apart, through the running and otherwise idle fleet; from the return of the sale's commit to the return
//     of the commit of its position. The sale is committed by a pool of its own and pokes no ticker, as by another process.
//
// Throughput is given as a ratio to the reference on the same servers in the same minute: absolute figures drift with the machine, ratios
// hardly. Each round runs all of them once, in an order that turns round from one to the next; the figure is the median of the rounds' ratios.
//
// Apart from these, RunAges measures what a sale costs when the log is long, and RunAudit what an audit does: of everything, and of what is
// new since the last one. The long history is written by statements (history.go), and a full audit must find it proven.
//
// # How
//
// Each run has a database and a virtual host of its own, deleted afterwards. Everything is connected and has handled one event before it
// counts. Then all events are committed in one transaction, and the clock runs from that commit to the last commit (or confirm) of the run.
// After it the tables are checked: counts, sums, nothing twice. A run that leaves wrong tables is an error and not a number.
//
// The commit of a position is seen where it happens: the store calls Config.Appended after each commit that appended to the log, and the
// ledger's pool has such a hook. Polling would have to ask a busy database, and find out late.
package bench
