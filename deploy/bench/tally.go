package bench

import "fmt"

// tally counts what a run has left, or must leave.
type tally struct {
	Waiting   int   // in the outbox or in the queue
	Inbox     int   // rows of it
	Movements int   // rows
	Distinct  int   // of their events
	Quantity  int64 // that has left the shop
	Logged    int   // events in the log
	Updates   int   // different INVENTORY_UPDATED in the log
	Sunk      int   // messages in the queue without consumers
}

// check gives an error that shows both tallies when they differ.
func (found tally) check(want tally) error {
	if found != want {
		return fmt.Errorf("wrong tables: found %+v, want %+v", found, want)
	}
	return nil
}
