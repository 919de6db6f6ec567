// Package failpoint names the steps at which a process may die, so that a test
// can have it die at each of them.
//
// Whoever does something that must survive a SIGKILL says so between its steps:
//
//	failpoint.Hit("relay.published")
//
// In a usual build Hit is empty, and the compiler leaves nothing of it. Built with
// the tag failpoints, Hit ends its own process, or stops it, at the point and the
// time of coming there that Arm was told. So the process dies between two
// statements of its own, where a kill from outside arrives once in a million
// tries; and it dies as by a power cut: no defer runs, no buffer is flushed.
//
// # What holds
//
//   - Points has every name, with what a kill there leaves. A test (of deploy)
//     holds the list and the calls together, and another (of cli) kills a real
//     fleet at each name of the list: a point that is added is tried without
//     anybody thinking of it.
//   - Nothing is armed but by Arm, and Arm is not there in a usual build. What arms
//     is read from the environment in cli, as all configuration is.
package failpoint
