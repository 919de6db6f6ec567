package topology

import (
	"fmt"
	"hash/crc32"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// # Lanes
//
// The queue of an ordered worker can be divided into lanes: quorum queues with a single active consumer each. All
// events of an aggregate go into one lane, so that they stay in order while lanes are handled beside each other.
//
//	composerp.events -> composerp.stockview.lanes (headers) -> composerp.stockview.lane.05-of-16, ...
//	without the header: -> composerp.stockview.unlaned (fanout) -> composerp.stockview
//
// The relay sets the header x-lane, from LaneValue. What comes without it (an external publisher's message, a message
// out of a retry queue or the dead letters) goes to the worker's own queue, whose consumer puts it into its lane.
//
// The header is one of LaneValues numbers whatever the number of lanes: a lane is bound for each value that falls to
// it. So a change of the number of lanes changes bindings, and no publisher.

// LaneValues is how many values HeaderLane has, and the most lanes a worker can have.
const LaneValues = 32

// HeaderLane is the header by which an event goes to its lane: LaneValue in decimal digits, as a string.
const HeaderLane = "x-lane"

// LaneCounts are the numbers of lanes that a worker can have: each divides LaneValues.
var LaneCounts = []int{1, 2, 4, 8, 16, 32}

// DefaultLanes is the usual number of lanes.
const DefaultLanes = 16

// LaneValue is the value of an aggregate: CRC-32 (IEEE 802.3) of the tenant, a zero byte and the aggregate's id, modulo
// LaneValues. It never changes: messages in queues carry it.
func LaneValue(tenant, aggregate string) int {
	return int(crc32.ChecksumIEEE([]byte(tenant+"\x00"+aggregate)) % LaneValues)
}

// LaneHeader is the header's value for an aggregate.
func LaneHeader(tenant, aggregate string) string { return strconv.Itoa(LaneValue(tenant, aggregate)) }

// LaneQueueName is the queue of a lane, which is a number from 0 on: "composerp.stockview.lane.05-of-16".
func LaneQueueName(worker string, lane, lanes int) string {
	return fmt.Sprintf("%s%s%02d-of-%02d", QueueName(worker), lanePart, lane, lanes)
}

// LanePattern is a regular expression of the names of all lanes that a worker can have.
func LanePattern(worker string) string {
	return regexp.QuoteMeta(QueueName(worker)+lanePart) + `[0-9]{2}-of-[0-9]{2}`
}

// IsLane reports whether a queue is a lane.
func IsLane(queue string) bool { return strings.Contains(queue, lanePart) }

const lanePart = ".lane."

// LanesName is the exchange that leads to the lanes of a worker, by HeaderLane.
func LanesName(worker string) string { return QueueName(worker) + ".lanes" } // headers

// UnlanedName is the exchange for what no lane is bound for: to the worker's queue.
func UnlanedName(worker string) string { return QueueName(worker) + ".unlaned" } // fanout

// Lanes are the lanes of an ordered worker: how many the events are routed to, and how many are consumed. 0 is the
// worker's own queue alone. The two differ while a switch is under way: then the consumed ones are emptied first.
type Lanes struct {
	Routed   int `db:"routed" json:"routed"`
	Consumed int `db:"consumed" json:"consumed"`
}

// addLanes adds what an ordered worker needs beside its queue. The exchanges are there without lanes too: a copy on its
// way into a lane then comes back to the worker's queue.
func (t *Topology) addLanes(sub Subscription) {
	t.Exchanges = append(t.Exchanges,
		ExchangeSpec{Name: UnlanedName(sub.Worker), Kind: "fanout"},
		ExchangeSpec{Name: LanesName(sub.Worker), Kind: "headers", Arguments: map[string]any{"alternate-exchange": UnlanedName(sub.Worker)}})
	t.Bindings = append(t.Bindings, BindingSpec{Exchange: UnlanedName(sub.Worker), Queue: QueueName(sub.Worker)})
	counts := []int{sub.Lanes.Routed, sub.Lanes.Consumed}
	slices.Sort(counts)
	for _, lanes := range slices.Compact(counts) {
		t.Queues = append(t.Queues, LaneQueues(sub.Worker, lanes)...)
	}
}

// LaneQueues are the queues of that many lanes.
func LaneQueues(worker string, lanes int) []QueueSpec {
	queues := make([]QueueSpec, lanes)
	for lane := range queues {
		arguments := workingArguments(Dead, QueueName(worker))
		arguments["x-single-active-consumer"] = true
		queues[lane] = QueueSpec{Name: LaneQueueName(worker, lane, lanes), Arguments: arguments}
	}
	return queues
}

func laneBindings(worker string, lanes int) (bindings []BindingSpec) {
	for value := 0; lanes > 0 && value < LaneValues; value++ {
		bindings = append(bindings, BindingSpec{Exchange: LanesName(worker), Queue: LaneQueueName(worker, value%lanes, lanes), Header: HeaderLane, Value: strconv.Itoa(value)})
	}
	return bindings
}

// EventBindings are the bindings by which events reach the queue or the lanes of a worker: those of Lanes.Routed.
func (s Subscription) EventBindings() (bindings []BindingSpec) {
	to := BindingSpec{Exchange: Events, Queue: QueueName(s.Worker)}
	switch {
	case s.ExternalOnly:
		to = BindingSpec{Exchange: Events, To: FilterName(s.Worker)}
	case s.Lanes.Routed > 0:
		to = BindingSpec{Exchange: Events, To: LanesName(s.Worker)}
	}
	for _, to.RoutingKey = range slices.Compact(slices.Sorted(slices.Values(s.RoutingKeys))) {
		from := s.From[to.RoutingKey]
		if len(from) == 0 {
			from = []string{Events}
		}
		for _, to.Exchange = range from {
			bindings = append(bindings, to)
		}
	}
	return append(bindings, laneBindings(s.Worker, s.Lanes.Routed)...)
}
