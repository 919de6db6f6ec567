// Package simulation runs a queue with slots through arrivals, in simulated time, under
// a rule that says how many slots there should be. The autoscaler's tests and
// `composerp autoscale backtest` use it: the one with arrivals of a seed, the other with the log's own.
//
// A Model says how its slots behave: what a batch takes, what a slot prefetches, how
// long a new slot needs to start, and how much slots stand in each other's way. A slot
// that is taken away finishes what it holds, as the fleet's do; with Kill it drops it, and
// the broker delivers it again, as where a scheduler stops busy processes.
//
// The same arrivals, model and rule give the same result.
package simulation
