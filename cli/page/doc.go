// Package page serves a page about the fleet beside its metrics: an event's story, dead letters, workers, proof, and
// what a planner looks at in the morning. It reads, and shows the command for every action.
//
// # Invariants
//
//   - A request changes nothing: every part calls reading methods of store packages alone. The pool has two
//     connections of its own, so that a page takes none from handlers, relay or health.
//   - A request ends: it has timeout, at most atOnce run at a time, and every list is cut at a number of rows. The
//     search of the log is bounded by time: it says so, and names the command that has no bound.
//   - A part is served to requests with the token where the listener is not on loopback, or where a token is set.
//     Without a token a listener elsewhere serves no part. /metrics, /livez, /readyz and /healthz belong to the
//     caller's mux and need none.
//   - A browser that another site has led here by its own name (DNS rebinding) is refused: only IP addresses,
//     localhost, this machine's name and those of the settings are hosts of the page.
//   - What events, errors and ids say is text: html/template escapes it, no script and no style of a document runs
//     (Content-Security-Policy), and in a command it is one word of the shell.
//   - The data of one tenant is shown at a time. Dead letters whose message could not be read name no tenant, and are
//     shown with each.
//
// # What fails, and what is shown then
//
//	the database is away, hangs, or lacks a migration   status 503, the reason on one line, and what to do
//	the broker is away or hangs                         the parts without numbers of queues, and the reason
//	the search of the log takes too long                status 503, and the command that may take longer
//	too many requests                                   status 503, and Retry-After
//	this process dies                                   nothing is left: a request has no state but its cookie
package page
