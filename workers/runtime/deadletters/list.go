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

// QueueSummary is the state of a queue of dead letters by the broker and by the dead-letter log.
type QueueSummary struct {
	Queue  string `json:"queue"`
	Worker string `json:"worker"`
	// InQueue is how many messages are ready in the queue, exactly and whatever the filter; nil where there is no
	// such queue, or no broker.
	InQueue *int `json:"inQueue"`
	// What follows is from the dead-letter log, within the filter.
	Lying     int        `json:"pending"`
	Oldest    *time.Time `json:"oldest,omitempty"`
	Newest    *time.Time `json:"newest,omitempty"`
	Redriven  int        `json:"redriven"`
	Discarded int        `json:"discarded"`
	Missed    int        `json:"lost"`
}

// Summaries gives the state of the workers' queues of dead letters, of those of other consumers in the dead-letter log,
// and, unless consumers are chosen, of composerp.unrouted where it holds messages. Where the broker does not answer the
// error says so, and the summaries are without InQueue.
func (c Config) Summaries(ctx context.Context, workers []string, of failures.LetterFilter) ([]QueueSummary, error) {
	known, err := failures.LettersByConsumer(ctx, c.DB, of)
	if err != nil {
		return nil, err
	}
	summaries := make([]QueueSummary, 0, len(workers))
	for _, worker := range workers {
		summaries = append(summaries, QueueSummary{Queue: topology.DeadQueueName(worker), Worker: worker})
	}
	for _, l := range known {
		s := QueueSummary{
			Queue: topology.DeadQueueName(l.Consumer), Worker: l.Consumer, Lying: l.Lying, Oldest: instant(l.Oldest), Newest: instant(l.Newest),
			Redriven: l.Redriven, Discarded: l.Discarded, Missed: l.Missed,
		}
		if i := slices.IndexFunc(summaries, func(s QueueSummary) bool { return s.Worker == l.Consumer }); i >= 0 {
			summaries[i] = s
			continue
		}
		summaries = append(summaries, s)
	}
	slices.SortFunc(summaries, func(a, b QueueSummary) int { return strings.Compare(a.Queue, b.Queue) })
	if len(of.Consumers) == 0 {
		summaries = append(summaries, QueueSummary{Queue: topology.Unrouted})
	}
	err = c.depths(ctx, summaries)
	if n := len(summaries); n > 0 && summaries[n-1].Queue == topology.Unrouted {
		if last := &summaries[n-1]; last.InQueue == nil || *last.InQueue == 0 {
			summaries = summaries[:n-1]
		} else {
			last.Lying = *last.InQueue // nothing else tells of them
		}
	}
	return summaries, err
}

// ErrDepths means that the broker could not be asked how many messages are in the queues.
var ErrDepths = errors.New("the queues could not be read")

func (c Config) depths(ctx context.Context, summaries []QueueSummary) error {
	if len(c.Broker.URLs) == 0 {
		return fmt.Errorf("%w: no broker is known", ErrDepths)
	}
	session, err := rabbitmq.Open(ctx, c.Broker)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDepths, err)
	}
	defer session.Close()
	for i := range summaries {
		ready, _, err := session.Depth(summaries[i].Queue)
		if err == nil {
			summaries[i].InQueue = &ready
		} else if !errors.Is(err, rabbitmq.ErrMissing) {
			return fmt.Errorf("%w: %w", ErrDepths, err)
		}
	}
	return nil
}
