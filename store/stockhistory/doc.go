// Package stockhistory tells what stood at a position at a time, and by which movements.
//
// Stock at a time is by business time: what the events known by now give up to it. A sale that came late counts from
// when it happened, and a count from when it was made; so the figure of a moment may change as long as events of before
// it come. It is what is on hand now without the movements dated after it, so that it is right where old movements are
// kept no more, and equal to the live figure at a time after all movements.
//
// The table of movements has no index on positions, as one would cost each of the ledger's writes; a million movements
// take about a second. Each answer is one snapshot of the database.
package stockhistory
