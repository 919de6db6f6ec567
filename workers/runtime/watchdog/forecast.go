package watchdog

import (
	"time"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// horizon is how far ahead a full disk is warned of, and soon when that becomes a problem: long enough for a person
// to come and make room.
const (
	horizon = 6 * time.Hour
	soon    = time.Hour
)

// Growing judges, by how much the queues have grown between two snapshots, when the broker's disk will be full: the
// node with the least room is the measure, for every node may hold a replica of every queue. The broker writes more
// than the bodies that are counted here, so that the time is at most that long. It names the queue that grows most.
func (p Plan) Growing(then, now observer.Snapshot) []Problem {
	over := now.At.Sub(then.At)
	node, room, known := leastRoom(now.Nodes)
	if !then.Figures || !now.Figures || !known || over <= 0 {
		return nil
	}
	var grown, most int64
	var fastest topology.QueueState
	for _, q := range p.Topology.Queues {
		a, b := then.Queues[q.Name], now.Queues[q.Name]
		if !a.Counted || !b.Counted {
			continue
		}
		by := b.Bytes - a.Bytes
		grown += by
		if by > most {
			fastest, most = b, by
		}
	}
	if grown <= 0 || most <= 0 {
		return nil
	}
	rate := float64(grown) / over.Seconds()
	left := time.Duration(min(float64(room)/rate, 2*horizon.Seconds()) * float64(time.Second))
	if left > horizon {
		return nil
	}
	return []Problem{{Kind: Growth, Subject: node, Warning: left > soon,
		Do: "run its worker, or more slots of it; or make room on the disk",
		What: wording.Sprintf("the queues grow by %s a second, most of all %s (%d messages, %d consumers): at that rate the disk of %s, which has %s left, is full in %s",
			size(int64(rate)), fastest.Name, fastest.Ready+fastest.Unacked, fastest.Consumers, node, size(room), left.Round(time.Minute))}}
}

// leastRoom is the running node with the least disk left above its limit.
func leastRoom(nodes []management.NodeState) (name string, room int64, known bool) {
	for _, n := range nodes {
		if left := max(0, n.DiskFree-n.DiskFreeLimit); n.Running && n.Counted() && (!known || left < room) {
			name, room, known = n.Name, left, true
		}
	}
	return name, room, known
}

func size(bytes int64) string {
	switch {
	case bytes >= 10<<30:
		return wording.Sprintf("%d GB", bytes>>30)
	case bytes >= 10<<20:
		return wording.Sprintf("%d MB", bytes>>20)
	}
	return wording.Sprintf("%d kB", bytes>>10)
}
