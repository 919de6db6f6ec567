package audit

import (
	"time"

	"github.com/composerp/composerp/exchange/topology"
)

// history has the snapshots of the last while: long enough to tell loss from delay under load.
type history struct {
	settle    time.Duration
	snapshots []snapshot
}

// spans is the length of the history in multiples of Settle: the figures that are compared are those of the middle,
// and what they may have missed shows before or after them.
const spans = 3

func (w *history) add(l snapshot) {
	w.snapshots = append(w.snapshots, l)
	for l.at.Sub(w.snapshots[0].at) > spans*w.settle && len(w.snapshots) > 2 {
		w.snapshots = w.snapshots[1:]
	}
}

// passed is the position up to which everything was published when the history began.
func (w *history) passed() (point string, epoch int) {
	if len(w.snapshots) == 0 {
		return "", 0
	}
	return w.snapshots[0].log.Passed, w.snapshots[0].log.PassedEpoch
}

// fewest gives, of each worker where that can be known, the fewest messages that existed anywhere at one moment.
//
// A message that was published before the history and is not handled at its end was all the time in one of these
// places: ready or unacknowledged in the worker's queue, in one of its retry queues, or, dead, in the queue of the
// dead-letter log. A retry queue holds it for seconds, so that snapshots half a second apart see it there; their
// depths are exact. If none saw any, the message was in the worker's queue throughout, and counted in each of the
// figures that the management API had of it in the middle of the history. (In the middle: the API's figures are of
// some seconds before, and must not be of before the history; and what left for the dead-letter log after them must
// be seen there.)
func (w *history) fewest() map[string]int64 {
	fewest := map[string]int64{}
	if len(w.snapshots) == 0 {
		return fewest
	}
	from, to := w.snapshots[0].at.Add(w.settle), w.snapshots[len(w.snapshots)-1].at.Add(-w.settle)
	doubtful := map[string]bool{}
	for _, l := range w.snapshots {
		middle := !l.at.Before(from) && !l.at.After(to)
		for _, q := range l.queues {
			worker := topology.WorkerOf(q.name)
			switch {
			case q.role == deadLetterLog && (q.moving() || !q.known || q.missing):
				return map[string]int64{}
			case q.role != working:
			case q.missing || q.stuck > 0 || q.name != topology.QueueName(worker) && q.moving() || !q.known:
				doubtful[worker] = true
			case q.name == topology.QueueName(worker) && middle:
				if n, ok := fewest[worker]; !ok || q.held < n {
					fewest[worker] = q.held
				}
			}
		}
	}
	for worker := range doubtful {
		delete(fewest, worker)
	}
	return fewest
}

// stuck are the queues that had something in messages_dlx in every snapshot. For a moment every dead-lettered message
// is there.
func (w *history) stuck() map[string]bool {
	counts := map[string]int{}
	for _, l := range w.snapshots {
		for _, q := range l.queues {
			if q.stuck > 0 {
				counts[q.name]++
			}
		}
	}
	stuck := map[string]bool{}
	for name, n := range counts {
		stuck[name] = n == len(w.snapshots)
	}
	return stuck
}
