// Package whatif gives a run of the planning workers tables of its own beside the live ones, fills them with the state
// at a business time, and reads for it what the log has from then on.
//
// # Invariants
//
//   - The live tables are only read. A run's tables are made by the program's own migrations in a schema of its own,
//     and a connection of the run has that schema alone in its search_path: no unqualified name of a statement can
//     mean a live table.
//   - Nothing is published. The run's event_log discards what is appended (the workers return what they emit), no
//     cursor or relay reads it, and no ticker is notified.
//   - A schema exists only while a session holds its advisory lock, or until the next run: the lock is taken before
//     the schema is made, and the schema is dropped before the lock is released. So a schema whose lock is free
//     belongs to a run that was killed, and Begin drops it.
//   - All schemas of a run are filled in one transaction with one snapshot: they begin equal.
//   - An event is taken from the log for its business time alone, and the opening state is what movements, bookings
//     and demand dated before that time add up to: each event is in one of the two.
//   - A receipt that came for an order which the run makes itself is taken off by the quantity that the live order
//     was booked down by (on_order_booking). What came for orders from before the run, for no order, or beyond one is
//     kept.
//
// # What goes wrong, and what then
//
//	killed before the schema is made     nothing is left; the session's lock ended with it
//	killed while it is made or filled    a schema without its lock, whole or in part: the next run drops it, doctor
//	                                     names it
//	killed in the run                    the same
//	killed while it is dropped           the drop is one transaction: it is there or it is not
//	the session with the lock ends       the run ends with an error at its next page (Alive), or at its next
//	                                     statement, once another run has dropped its tables
//	the server crashes                   the large tables are unlogged, and are empty afterwards; the lock is free too
//	the span begins in archives          Read ends with the name of the file, unless the archives were given
//	the log is archived meanwhile        Read ends with an error: a part may have been missed
//	the role may make no schema          Begin says which role may: the owner of the database's tables
package whatif
