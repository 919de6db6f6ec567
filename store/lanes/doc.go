// Package lanes holds into how many lanes the queue of an ordered worker is divided (a Set), and which node handles
// each lane.
//
// An ordered worker handles the events of an aggregate in the order of the log. Package topology says what a lane is;
// package parking what becomes of the events behind one that failed; workers/worker how a lane is handled;
// workers/runtime/scaler (lanes.go) who assigns and switches. All of them keep this order together:
//
//	log, relay      publishes the events of an aggregate in the order of the log
//	exchange        puts all of them into one lane, a quorum queue, which keeps their order
//	one owner       takes them out in that order and handles them one batch after the other
//	parking         keeps what is behind an event that failed until that event is done
//
// # Invariants
//
//   - Each transaction that handles events of a lane locks the lane's row and finds its own term in it (Hold). Every
//     assignment draws a new term. So of two processes that believe to own a lane one commits nothing, whatever its
//     clock, its pauses and its connections do.
//   - A lane has a new owner only after the old one has given it up (Release), which it does with no message in hand,
//     or after the old one's lease has ended. What it has in hand returns to the head of the lane when its
//     channel is closed; the broker gives the lane to the next consumer only then (single active consumer).
//   - Events reach the lanes that are consumed, or the lanes that will be consumed after these, or both; and the
//     latter are not consumed before the former are empty and nothing can come into them any more. A copy in both is
//     handled once, in the former.
//   - The prefetch of a lane is constant: what one consumer left fits into the prefetch of the next, so that the broker
//     sends all of it before anything newer, also when that consumer is lost too.
//   - A message is never believed to be in its lane: the owner computes the lane from the event, and puts what belongs
//     elsewhere into its lane.
//
// What is not ordered: events against those of another aggregate; an external publisher's messages that carry a header
// x-lane of their own; a dead letter that is redriven after a person has let go of what waited behind it (package
// parking); what was in retry queues when lanes were switched on; events of a lane whose binding a person removed.
//
// # Switching
//
// A switch from one number of lanes to another, or from and to the worker's own queue (0), is made by the leader in
// steps. It may do any step again:
//
//	ask       an operator sets wanted                          Want
//	bind      queues and bindings of the new lanes are         Route, before which the leader declares; events go to
//	          declared                                         both now, and routed says so
//	unbind    the bindings of the old lanes are removed        Unbound notes the tick
//	drain     the owners find their lanes empty, after the     Drained
//	          relay has passed that tick: everything that was
//	          ever published into them has been confirmed
//	consume   the new lanes are handed out                     Consume
//	clean     the old queues are deleted                       Cleaned
//
// The worker's own queue has no single active consumer. When lanes are switched on, its slots end first; then one node
// empties it, as the owner of lane -1. It is empty when it has no message, no consumer but the owner's, no node that
// reports a slot outside of the lanes, and the owner has nothing in hand. When lanes are switched off, lane -1 is
// given up before the first step: its owner would put messages into lanes that are no longer bound.
//
// # What a crash leaves, step by step
//
//	after declaring, before      the bindings; events go to both and the next leader declares the same again
//	routed is set
//	after routed is set          bindings of both; the next leader removes those of the old lanes
//	after unbinding, before      the tick is noted by the next leader: later than need be
//	it is noted
//	owner, before it begins a    the lane, to be given up: its owner does so when it reads of it, also with a new session
//	lane, or while it leaves
//	owner, while draining        its lane is not drained; the next owner finds out
//	after the last lane is       the next leader does the rest
//	drained
//	after consumed is set        queues that are deleted by the next leader
//	database away                nothing moves; owners keep what they have in hand
//	leader paused for longer     it may declare or remove bindings once more, of the switch it was at. The watchdog
//	than its lease               declares what is missing then; until that events come by way of the worker's queue
package lanes
