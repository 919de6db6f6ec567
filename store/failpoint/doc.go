// Package failpoint names the steps at which a process may die, so that a test can kill it at each of them.
//
// Code that must survive a SIGKILL marks the points between its steps:
//
//	failpoint.Hit("relay.published")
//
// In a usual build Hit is empty and compiled away. Built with the tag failpoints, Hit ends or stops the process at the
// pass of the point that Arm named. The process dies between two of its own statements, where a kill from outside
// arrives once in a million tries; and it dies as by a power cut: no defer runs, no buffer is flushed.
//
// Invariants:
//
//   - Points lists every name, with what a kill there leaves. A test (in deploy) compares the list with the calls, and
//     another (in cli) kills a real fleet at each point.
//   - Only Arm arms a point, and a usual build has no Arm. cli reads the order from the environment.
package failpoint
