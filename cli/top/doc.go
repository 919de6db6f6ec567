// Package top is the command `top`: queues, nodes and the last scale decisions on a live screen, with keys that pause,
// resume and scale. Without a terminal it writes a table, or JSON, at an interval. What it shows is read as
// `worker list` reads it (package pools).
//
// # Invariants
//
//   - A key changes nothing in the fleet before its question has been answered with y.
//   - There is one reading at a time; the next begins an interval after the last has ended, or after an act.
//   - While database or broker do not answer, the last whole picture stays, with a line that says what is away and when
//     the picture was taken. The first reading that is whole replaces it.
//   - No line is longer than the terminal, and there are no more lines than it has. Texts of the fleet's data, such as
//     reasons, move no cursor: control characters are blanks.
package top
