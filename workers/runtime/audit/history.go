package audit

import (
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/topology"
)

// watch is what the looks of the last while have seen: long enough to tell loss
// from delay beside the load.
type history struct {
	settle    time.Duration
	snapshots []snapshot
}

// spans is how many times Settle is looked back: the figures that are compared are
// those of the middle, and what they may have missed shows before or after them.
const spans = 3

func (w *history) add(l snapshot) {
	w.snapshots = append(w.snapshots, l)
	for l.at.Sub(w.snapshots[0].at) > spans*w.settle && len(w.snapshots) > 2 {
		w.snapshots = w.snapshots[1:]
	}
}

// passed is the point up to which everything was published when the watch began.
func (w *history) passed() (point string, epoch int) {
	if len(w.snapshots) == 0 {
		return "", 0
	}
	return w.snapshots[0].log.Passed, w.snapshots[0].log.PassedEpoch
}

// fewest gives, of each worker that it can be told of, the fewest messages that
// were anywhere at one moment.
//
// A message that was published before the watch and is not handled at its end was
// all the time in one of these places: the worker's queue or a hand, a rung of its
// ladder, or, dead, in the journal's queue. A rung holds it for seconds, so that
// looks half a second apart see it there; the depths they see are exact. If none
// saw any, the message was in queue or hand throughout, and counted in each of the
// figures that the management API had of them in the middle of the watch. (In the
// middle: the API's figures are of some seconds before, and must not be of before
// the watch; and what left for the journal after them must be seen there.)
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
			worker := workerOf(q.name)
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

// stuck are the queues that had something in messages_dlx at every look. For a
// moment every dead-lettered message is there.
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

// workerOf is whose queue or rung it is.
func workerOf(queue string) string {
	worker, _, _ := strings.Cut(strings.TrimPrefix(queue, topology.QueueName("")), ".")
	return worker
}
