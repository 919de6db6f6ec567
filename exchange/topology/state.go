package topology

// QueueState is a queue in the broker's statistics.
type QueueState struct {
	Name        string `json:"name"`
	Ready       int64  `json:"ready"`
	Unacked     int64  `json:"unacked"`
	Consumers   int    `json:"consumers"`
	MessagesDLX int64  `json:"messagesDlx"` // dead-lettered at least once, without a route: no depth has them
	Bytes       int64  `json:"bytes"`       // of the message bodies
	Acked       int64  `json:"acked"`       // acknowledged since the broker counts; it may restart at 0
	// InRate and AckRate are messages a second that came into the queue and were acknowledged, over the last
	// 20 s.
	InRate  float64 `json:"inRate"`
	AckRate float64 `json:"ackRate"`
	Counted bool    `json:"counted"` // false: the queue is too new for statistics

	// Policy is what policies set beside the queue's arguments, by the names of a policy's definition; PolicyName names
	// the policies.
	Policy     map[string]any `json:"-"`
	PolicyName string         `json:"-"`
}
