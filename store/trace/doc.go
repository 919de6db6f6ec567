// Package trace finds the events that an operator names, what they follow from and what follows from them, and where
// each of their deliveries is.
//
// An event that a worker emits has its cause's id as causationId, and the correlationId of its cause, or the cause's
// own id where that has none. So all events of one tree share a correlationId, or have it as their id.
//
// The log has no index on either: an index on what is random costs every append more than a search that is made by hand
// may. The search reads the log from its end, part by part, until it has found what it looks for; a million events take
// about a second.
//
// # Invariants
//
//   - A search writes nothing and locks nothing.
//   - A delivery has one state, the first that holds of: handled, parked, discarded, quarantined, dead, unpublishable,
//     unpublished, deferred, retried, waiting. All are read in one statement, at the end of the search.
//   - What a consumer did not subscribe to when the event was logged is no delivery.
package trace
