package failpoint

// Point is one step at which a process may die.
type Point struct {
	// Name is the component, a dot, and the step just done.
	Name string
	// Leaves says what a kill there leaves, and what repairs it.
	Leaves string
}

// Points lists all fail points by component; docs/reference/crash-steps.md is generated from it. cli's tests try each
// one: a new component needs a line there that drives a fleet to it.
var Points = []Point{
	{"worker.taken", "a batch in hand and nothing begun: the broker delivers it again, counted as one more delivery"},
	{"worker.claimed", "inbox rows of an open transaction: rolled back, and the batch comes again"},
	{"worker.handled", "an effect that is not committed: rolled back, and the batch comes again"},
	{"worker.appended", "an effect and what follows from it, not committed: rolled back, numbers of the log are skipped"},
	{"worker.committed", "effects that are committed, not acknowledged: the second delivery is a duplicate"},
	{"worker.acked", "an acknowledgement that may not have left: done, or a duplicate"},
	{"worker.alone", "a batch that has failed and is done again one by one: those done are duplicates when they come again"},

	{"judge.begun", "a failed attempt that is recorded, its message without a copy: it comes again, and the row is overwritten"},
	{"judge.published", "a copy that the broker may have, and the message: two copies, one effect"},
	{"judge.confirmed", "a copy that the broker has, and the message: two copies, one effect"},

	{"suspect.noted", "records of the messages in hand: they come again in smaller batches; of one alone it counts a death"},
	{"suspect.tried", "records of messages that are done: they come again as duplicates, and the records are deleted"},

	{"call.prepared", "a preparation that is committed, no call: it is prepared again and called"},
	{"call.made", "a call whose answer is unknown: made again with the same key"},
	{"call.failed", "a call that failed, not recorded: made again with the same key"},

	{"timer.worked", "work of a timer that is not committed: rolled back, due again"},
	{"timer.committed", "work of a timer that is done: not due any more"},

	{"relay.opened", "a cursor with a new term: the next relay opens it with a newer one"},
	{"relay.read", "nothing: the next relay reads from the cursor"},
	{"relay.publishing", "part of a page at the broker: published again, the inboxes absorb it"},
	{"relay.published", "a page at the broker, not confirmed: published again"},
	{"relay.confirmed", "a page that is confirmed, the cursor before it: published again"},
	{"relay.moved", "nothing to do again"},
	{"relay.aside", "an event that is marked as unpublishable, the cursor before it: marked again, which changes nothing"},

	{"lease.acquired", "a lease without a leader: it ends by itself"},
	{"lease.renewed", "the same"},

	{"scaler.read", "a locked lease and nothing written: both go with the connection, the next leader assigns from the same state"},
	{"scaler.assigned", "assignments that are not committed: rolled back, the next leader writes them"},
	{"scaler.committed", "assignments whose notification is sent: nodes read them, the next leader changes nothing"},

	{"tick.due", "nothing: the next leader checks for itself"},
	{"tick.committed", "a tick: readers find it by polling"},
	{"tick.thinned", "ticks that are not yet deleted: rolled back, deleted at the next round"},

	{"partition.made", "a table that is not committed: rolled back, made by the next leader"},
	{"generation.made", "a partition of the inbox that is not written to: the next leader opens it"},
	{"generation.opened", "a generation that is not committed, and the lock of rotation: both go with the connection"},
	{"generation.committed", "a new generation: claims read the older ones too"},

	{"seal.read", "nothing: the next leader reads the same range"},
	{"seal.sealed", "a seal: the next leader goes on after it"},

	{"archive.written", "a file beside its name: the next run deletes it, and writes it again"},
	{"archive.verified", "the same"},
	{"archive.renamed", "a file that is not noted, and the partition: the next run writes the same file again"},
	{"archive.dropping", "a note, opening balances and a dropped partition, not committed: rolled back, and then the same"},
	{"archive.committed", "an archive that is done: the next run goes on with the next partition"},

	{"erasure.written", "erased bodies that are not committed: rolled back, nothing of the batch is erased"},
	{"erasure.committed", "a batch that is erased: the same command goes on with the others"},
	{"erasure.archived", "an archive written anew that is not noted: the next run writes it again"},
	{"erasure.noted", "the file whose place the new archive took: the next run deletes it"},

	{"redrive.published", "copies that the broker may have, and the letters: the same command puts them back again, and the inbox knows them"},
	{"redrive.confirmed", "copies that the broker has, and the letters: the same"},
	{"redrive.marked", "letters marked as redriven or discarded that are still among the dead: the same command handles them again"},
	{"redrive.acked", "acknowledgements that may not have left: done, or the same"},

	{"replay.published", "events that the broker may have, the cursor before them: resume publishes them again, the inbox absorbs them"},
	{"replay.confirmed", "events that the broker has, the cursor before them: the same"},
	{"replay.written", "lines of a file past the length that is noted: resume cuts them off"},
	{"replay.moved", "a replay that goes on behind its cursor when it is resumed"},

	{"import.taken", "an import with a new term: the next start takes it over with a newer one"},
	{"import.admitted", "rows of an open transaction: rolled back, read again"},
	{"import.noted", "the same, with the progress"},
	{"import.rejected", "reject lines behind those that count: cut off by the next start"},
	{"import.committed", "rows that are done: the next start goes on behind them"},
	{"import.finished", "a file that is done, and perhaps an empty rejects file: a new import changes nothing"},
}
