// Package bench measures how much of the machine's capacity Composerp uses.
//
// # The reference
//
// The limit is a program without a harness, in this package (reference.go): a table of committed events, one relay
// that publishes them with 1024 confirms in flight, a topic exchange, a quorum queue, and one consumer that handles
// batches of 200 in one set-based statement: inbox, movement, position. It has no leases, no ticks, no retries, no
// schema and one type of event, and cannot be operated. It is as fast as PostgreSQL, RabbitMQ and these drivers get.
//
// # What is measured
//
//   - Same work: the same events, in Composerp's own log, published by the real relay and handled in the real harness
//     by a worker that does what the reference's consumer does: inbox, movement, position, no emitted events.
//   - The ledger: the real ledger worker, which keeps double entries (two movements and two positions a sale) and
//     emits an INVENTORY_UPDATED for each sale, which the relay publishes to a queue without consumers. Done when all
//     sales are applied and all updates confirmed.
//   - The whole fleet: every worker, a rule for every item that follows weekly forecasts, orders approved by policy.
//     Eight weeks of business time. Done when all consumers have handled the sales and everything that followed from
//     them.
//   - Idle: one sale at a time, 20 ms apart, through the running and otherwise idle fleet; from the return of the
//     sale's commit to the return of the commit of its position. The sale is committed by a pool of its own and does
//     not poke the ticker, as by another process.
//
// Throughput is given as a ratio to the reference on the same servers in the same minute: absolute figures vary with
// the machine, ratios hardly. Each round runs all of them once, in an order that is reversed from one round to the
// next; the figure is the median of the rounds' ratios.
//
// Apart from these, RunAges measures what a sale costs when the log is long, RunAudit what an audit costs, of
// everything and of what is new since the last one, and RunProjections rebuilds beside a COPY of the log's rows.
// The long history is written by statements (history.go), and a full audit must find it proven.
//
// # How
//
// Each run has a database and a virtual host of its own, which are deleted afterwards. Everything is connected and has
// handled one event before the measurement. Then all events are committed in one transaction, and the time is taken
// from that commit to the last commit (or confirm) of the run. Afterwards the tables are checked: counts, sums,
// duplicates. A run that leaves wrong tables is an error and not a number.
//
// The commit of a position is seen where it happens: the store calls Config.Appended after each commit that appended
// to the log, and the ledger's pool has such a hook. Polling would load the database and see the commit late.
package bench
