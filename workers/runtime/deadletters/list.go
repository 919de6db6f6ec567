package deadletters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
)

// Standing is how a queue of dead letters stands: what the broker says, and what the journal says.
type QueueSummary struct {
	Queue  string `json:"queue"`
	Worker string `json:"worker"`
	// InQueue is how many messages are ready in the queue, exactly and whatever the filter; nil where there is no such queue, or no broker.
	InQueue *int `json:"inQueue"`
	// The rest is the journal's, and the filter's.
	Lying     int        `json:"lying"`
	Oldest    *time.Time `json:"oldest,omitempty"`
	Newest    *time.Time `json:"newest,omitempty"`
	Redriven  int        `json:"redriven"`
	Discarded int        `json:"discarded"`
	Missed    int        `json:"missed"`
}

// Standings tells how the workers' queues of dead letters stand, and those of
// whoever else the journal has letters of. Where the broker does not answer the
// error says so, and the rest is as the journal has it.
func (c Config) Summaries(ctx context.Context, workers []string, of failures.LetterFilter) ([]QueueSummary, error) {
	known, err := failures.LettersByConsumer(ctx, c.DB, of)
	if err != nil {
		return nil, err
	}
	standings := make([]QueueSummary, 0, len(workers))
	for _, worker := range workers {
		standings = append(standings, QueueSummary{Queue: topology.DeadQueueName(worker), Worker: worker})
	}
	for _, l := range known {
		s := QueueSummary{
			Queue: topology.DeadQueueName(l.Consumer), Worker: l.Consumer, Lying: l.Lying, Oldest: instant(l.Oldest), Newest: instant(l.Newest),
			Redriven: l.Redriven, Discarded: l.Discarded, Missed: l.Missed,
		}
		if i := slices.IndexFunc(standings, func(s QueueSummary) bool { return s.Worker == l.Consumer }); i >= 0 {
			standings[i] = s
			continue
		}
		standings = append(standings, s)
	}
	slices.SortFunc(standings, func(a, b QueueSummary) int { return strings.Compare(a.Queue, b.Queue) })
	return standings, c.depths(ctx, standings)
}

// ErrDepths: the broker could not be asked how many messages lie in the queues.
var ErrDepths = errors.New("the queues could not be looked at")

func (c Config) depths(ctx context.Context, standings []QueueSummary) error {
	if len(c.Broker.URLs) == 0 {
		return fmt.Errorf("%w: no broker is known", ErrDepths)
	}
	session, err := rabbitmq.Open(ctx, c.Broker)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDepths, err)
	}
	defer session.Close()
	for i := range standings {
		ready, _, err := session.Depth(standings[i].Queue)
		if err == nil {
			standings[i].InQueue = &ready
		} else if !errors.Is(err, rabbitmq.ErrMissing) {
			return fmt.Errorf("%w: %w", ErrDepths, err)
		}
	}
	return nil
}
