package topology

import (
	"slices"
	"strconv"
	"time"
)

// Retention says how much of the log the stream keeps. RabbitMQ drops whole segments, the oldest first, when a segment
// is full: a stream that has not filled one keeps everything.
type Retention struct {
	MaxAge       time.Duration
	SegmentBytes int64
	MaxBytes     int64 // 0: no bound
}

// arguments are those of the stream queue.
func (r Retention) arguments() map[string]any {
	a := map[string]any{
		"x-queue-type":                    "stream",
		"x-max-age":                       streamAge(r.MaxAge),
		"x-stream-max-segment-size-bytes": r.SegmentBytes,
	}
	if r.MaxBytes > 0 {
		a["x-max-length-bytes"] = r.MaxBytes
	}
	return a
}

// streamAge writes an age as RabbitMQ reads it, in whole days where it is some: "7D", "36h", "90m", "45s".
func streamAge(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "D"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= unit.of && d%unit.of == 0 {
			return strconv.FormatInt(int64(d/unit.of), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(max(d, time.Second)/time.Second), 10) + "s"
}

// StreamOf is the stream alone: its exchange, its queue and their binding. The relay's user has no permission on the
// default exchange, and a queue bound to composerp.events for all keys would leave no event unrouted: hence an exchange
// of its own.
func StreamOf(r Retention) Topology {
	return Topology{
		Exchanges: []ExchangeSpec{{Name: Stream, Kind: "fanout"}},
		Queues:    []QueueSpec{{Name: Stream, Arguments: r.arguments()}},
		Bindings:  []BindingSpec{{Exchange: Stream, Queue: Stream}},
	}
}

// OlderEvents is the exchange for the older versions of types that have two live ones. It has no alternate exchange: an
// event that no queue wants in its older version has been routed in the newer one.
func OlderEvents() Topology {
	return Topology{Exchanges: []ExchangeSpec{{Name: EventsV1, Kind: "topic"}}}
}

// WithStream is the topology and the stream behind it.
func (t Topology) WithStream(r Retention) Topology {
	s := StreamOf(r)
	t.Exchanges = append(slices.Clone(t.Exchanges), s.Exchanges...)
	t.Queues = append(slices.Clone(t.Queues), s.Queues...)
	t.Bindings = append(slices.Clone(t.Bindings), s.Bindings...)
	return t
}
