// Package process keeps the instances of processes: their states, their steps, their timers, and the inputs that came
// before an instance could take them. What moves an instance from where to where is decided by workers/worker/process,
// whose doc has the invariants; this package reads and writes, set-based.
//
// An instance is locked by its row in process_instance; its steps, timers and early inputs are written under that lock
// alone. Rows are locked in key order.
package process
