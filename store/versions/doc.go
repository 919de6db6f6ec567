// Package versions holds which version of an event type is emitted and published, while the type has two live ones.
//
// The catalogue (exchange/event) has a type's current version and, where it can be emitted, the older one. An operator
// migrates the type from the older to the current one by `composerp contracts migrate`; the row of the table
// event_version is the stage that it has come to:
//
//	stage    log holds  composerp.events  composerp.events.v1  queues that read the older version alone
//	old      older      older             -                    bound to composerp.events
//	mirror   older      older             older                bound to both
//	both     current    current           older                bound to composerp.events.v1
//	new      current    current           -                    there is none
//
// Workers' code knows the current version alone. They emit it, or the older one while the stage says so, and events of
// both versions are upcast where they are read. What the log holds is of either version for ever: emitters notice a
// stage within a second, and the relay (workers/runtime/relay) brings each body to the version that its exchange has
// in the stage. composerp.events.v1 has the routing keys, the event ids and the headers of composerp.events.
//
// # Invariants
//
//   - A queue is bound for a type's key on one of the two exchanges, but in mirror and while it is moved: then on
//     both. It gets each event at least once, and the inbox, by the event's id, makes that once.
//   - The stage both begins after a relay has taken over mirror and after every queue that reads the older version
//     alone is off composerp.events. So no queue gets a version that its consumer cannot read.
//   - A relay takes over a stage between two pages: all that it has published before is confirmed then. It says so in
//     the row (Adopt), with its term, before it publishes more.
//   - In the stage both the relay's cursor moves past an event only when the broker has confirmed both versions, and
//     only in a term that has taken over the stage: a trigger holds back the cursor of an older program's relay, so
//     that what it publishes comes again, in both versions.
//   - No stage is skipped: old, mirror, both, new; back from both by mirror to old. Move is compare-and-set by the
//     revision, and commits with its entry in the operator log.
//   - A type without a row is in the stage old. Nothing is asked of the database for each event.
//
// # What a crash leaves, step by step
//
//	start   after declaring composerp.events.v1      an exchange without a publisher
//	        after binding the older queues to it      the same; nothing arrives twice
//	        after the stage mirror                    older queues get events twice until the next call
//	        after the relay has taken it over         the same
//	        after unbinding them from composerp.events  they get each event once, by composerp.events.v1
//	        after the stage both                      the migration is on; the watchdog declares what is missing
//	finish  after the stage new                       the relay stops publishing to composerp.events.v1
//	        after deleting composerp.events.v1        nothing to do again
//	abort   after the stage mirror                    all queues read the older version; older ones are bound to v1
//	        after binding them to composerp.events    they get events twice
//	        after the stage old, and the relay's takeover  they get each event once, by composerp.events
//	        after deleting composerp.events.v1        nothing to do again
//
// In each case the same command, called again, goes on from the stage in the row: every step is done again without
// harm. The other direction may be taken from mirror and both. workers/runtime/migration takes the steps.
package versions
