package bench

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/workers/worker/timing"
)

// Recording is what it costs to know where a delivery's time goes, in microseconds of processor time: of this process
// and the database, without the broker's part of carrying the header.
type Recording struct {
	Prompt float64 `json:"promptMicros"` // of a delivery that is handled at once: header and histograms
	Late   float64 `json:"lateMicros"`   // of one in a backlog, which is kept as well
}

const (
	recordedPrompt = 200_000
	recordedBatch  = 200
	recordedLate   = 100 // batches
)

// measureRecording measures it as relay and harness do it.
func measureRecording(ctx context.Context, s *servers) (Recording, error) {
	return inEnvironment(ctx, s, s.template, func(env *environment) (r Recording, err error) {
		db, err := store.Open(ctx, store.Config{URL: env.databaseURL, Name: "composerp/bench", Connections: 1})
		if err != nil {
			return r, err
		}
		defer db.Close()
		queue := timing.NewMetrics(prometheus.NewRegistry()).Of("bench")
		if r.Prompt, err = s.cost(recordedPrompt, func() error { record(queue, recordedPrompt); return nil }); err != nil {
			return r, err
		}
		late, err := s.cost(recordedLate*recordedBatch, func() error {
			return db.InTx(ctx, func(tx store.Tx) error {
				for range recordedLate {
					if err := delays.Record(ctx, tx, "bench", time.Now(), record(queue, recordedBatch)); err != nil {
						return err
					}
				}
				return nil
			})
		})
		r.Late = late
		return r, err
	})
}

// cost is the processor time of do for each of n, in microseconds.
func (s *servers) cost(n int, do func() error) (micros float64, err error) {
	before := s.meter.read()
	err = do()
	after := s.meter.read()
	return (after.client - before.client + after.database - before.database) / float64(n) * 1e6, err
}

// record does for n deliveries of one batch what relay and harness do.
func record(queue *timing.Queue, n int) []delays.Late {
	late := make([]delays.Late, n)
	began := time.Now()
	batch := timing.NewBatch(&timing.Locks{})
	batch.Begin(began)
	headers := map[string]any{}
	for i := range late {
		published := delay.Since(began.Add(-3 * time.Second))
		published.Until(delay.Relay, began.Add(-2*time.Second))
		headers[delay.Header] = published.String()
		arrived := time.Now().Add(-time.Second)
		times, measured := timing.Of(rabbitmq.Delivery{Message: rabbitmq.Message{Headers: headers}, Arrived: arrived}, true, began)
		late[i] = delays.Late{EventID: uuid.UUID{byte(i), byte(i >> 8), 1}, Times: times}
		batch.End(&late[i].Times, began)
		_ = timing.IsLate(&late[i].Times)
		batch.End(&times, began)
		queue.Observe(&times, measured, "")
	}
	return late
}
