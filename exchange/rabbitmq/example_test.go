package rabbitmq_test

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

// A consumer that prints what it gets, in batches, for as long as ctx lasts and through every lost connection.
func ExampleKeepConnected() {
	listen := func(ctx context.Context, config rabbitmq.Config) error {
		sessions := 0
		return rabbitmq.KeepConnected(ctx, config, func(ctx context.Context, s *rabbitmq.Session) error {
			sessions++ // tags are never used twice
			consumer, err := s.Consume("composerp.ledger", fmt.Sprintf("ledger.node-1.0.%d", sessions), 1000)
			if err != nil {
				return err
			}
			for {
				deliveries, err := consumer.Take(ctx, 200)
				if err != nil {
					return err
				}
				for _, d := range deliveries {
					fmt.Println(d.Type, string(d.Body))
				}
				if err := consumer.Ack(deliveries[len(deliveries)-1]); err != nil {
					return err
				}
			}
		})
	}
	_ = listen
}

// Many messages in flight, with the outcome of each.
func ExamplePublisher() {
	publishAll := func(ctx context.Context, s *rabbitmq.Session, messages []rabbitmq.Message) error {
		publisher, err := s.Publisher(1024)
		if err != nil {
			return err
		}
		confirmations := make([]*rabbitmq.Confirmation, len(messages))
		for i, m := range messages {
			if confirmations[i], err = publisher.Publish(ctx, m); err != nil {
				return fmt.Errorf("publishing %s: %w", m.ID, err)
			}
		}
		for i, c := range confirmations {
			if err := c.Wait(ctx); err != nil {
				return fmt.Errorf("publishing %s: %w", messages[i].ID, err)
			}
		}
		return nil
	}
	_ = publishAll
}
