// Package eventquery reads the events of the log that a filter names, of any number of them in constant memory, and
// follows the log as it grows.
//
// The log is in order of seq and has an index on nothing else that is asked for here: an index on what is random costs
// every append more than a search that is made by hand may. So a query reads the log part by part, each part in a
// statement of its own that lasts well below the statement timeout, and hands on what it finds page by page. Only the
// id of an event from outside leads to its place directly, by admission.
//
// # Invariants
//
//   - A query writes nothing, locks nothing and holds no transaction open while its reader works.
//   - A page is bounded by rows and by bytes, whatever the events are.
//   - A query ends at the place that was the log's end when it began. It sees what is committed when it comes to it.
//   - What Follow hands on is in the order of the ticks, and by seq between two ticks: an event whose transaction ends
//     late comes late, and is not left out. Each event comes once, also when the database was away meanwhile.
package eventquery
