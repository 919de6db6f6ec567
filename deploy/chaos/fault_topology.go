package chaos

import (
	"context"
	"slices"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
)

// queueDeleted deletes a worker's queue. Nobody heals it but the fleet: its watchdog declares the queue again and publishes what was in it from
// the log. So it is no queue of those who hear messages that the log may not have: what comes straight over AMQP, and dead letters.
func queueDeleted(ctx context.Context, h *house, dice uint64) (heal, error) {
	var queues []string
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Queue() == exchange.QueueName(w.Name()) && !slices.Contains(w.Types(), event.TypeSaleCompleted) {
			queues = append(queues, w.Queue())
		}
	}
	vhost, err := h.broker.Vhost()
	if err != nil {
		return nothing, err
	}
	return nothing, h.management.DeleteQueue(ctx, vhost, queues[dice%uint64(len(queues))])
}
