// Package screen shows a running demo on a terminal: the day, sales and orders, the queues that are not empty, and
// notes of what happened.
//
// A Console stands in for stderr and turns into the screen while a Watcher runs. Without a terminal a Console writes
// through, and no Watcher is needed.
package screen
