package topology

// QueueState is what the broker's statistics say of one queue.
type QueueState struct {
	Name        string `json:"name"`
	Ready       int64  `json:"ready"`
	Unacked     int64  `json:"unacked"`
	Consumers   int    `json:"consumers"`
	MessagesDLX int64  `json:"messagesDlx"` // dead-lettered at least once and with no place to go: no depth shows them
	Bytes       int64  `json:"bytes"`       // of the bodies in it
	Acked       int64  `json:"acked"`       // acknowledged since the broker counts; it may begin again at 0
	Counted     bool   `json:"counted"`     // false: the queue is so new that the broker has no statistics of it yet
}
