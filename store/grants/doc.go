// Package grants says what each part of a fleet may do in PostgreSQL, and gives its roles that.
//
// # Roles
//
//	migrator   owns the schema: migrations, epochs; any name, the role that runs `composerp migrate up`
//	worker     workers and the scaler
//	relay      ticker, relay, watchdog and housekeeping
//	operator   the commands of people: master data, imports, dead letters, audit
//	reader     reads everything, for reports and dashboards
//
// # Invariants
//
// Only the migrator changes or deletes what the proof rests on: nothing else updates or deletes in event_log,
// admission, movement, inbox or operator_log, and nothing else makes or drops a table. Partitions of the log and
// generations of the inbox are made and dropped by functions of migration 0038, which run as the migrator and take a
// number only.
//
// Each table of the schema is decided on in the table decisions, by which a test compares with the schema: a migration
// that adds a table without a decision fails it. All roles may read all tables.
//
// # Failures
//
// Apply runs after each migration and is one transaction that may be repeated. A crash between the migration and Apply
// leaves a new table without its grants: the parts that need it report that permission is denied, try again, and
// succeed once `composerp migrate up` has run again. Messages stay in their queues meanwhile. Without the roles Apply
// does nothing: an installation with one role for all goes on as it is.
package grants
