package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/runtime/pipeline"
)

// numbers reads pages 1 to n.
func numbers(n int) func(context.Context, func(int) error) error {
	return func(_ context.Context, give func(int) error) error {
		for i := 1; i <= n; i++ {
			if err := give(i); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestPagesAreConfirmedInOrder(t *testing.T) {
	t.Parallel()
	var confirmed []int
	err := pipeline.Steps[int]{
		Read: numbers(100),
		Publish: func(_ context.Context, page int) (pipeline.InFlight, error) {
			return make(pipeline.InFlight, page), nil
		},
		Confirm: func(_ context.Context, page int, sent pipeline.InFlight) error {
			if len(sent) != page {
				t.Errorf("page %d came with the confirmations of another", page)
			}
			confirmed = append(confirmed, page)
			return nil
		},
	}.Run(t.Context())
	if err != nil || len(confirmed) != 100 || !slices.IsSorted(confirmed) {
		t.Errorf("confirmed are %v, %v", confirmed, err)
	}
}

// What is at the broker when publishing fails is still confirmed, and nothing after it.
func TestPagesBeforeAFailureAreConfirmed(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for range 100 {
		var confirmed []int
		err := pipeline.Steps[int]{
			Read: numbers(100),
			Publish: func(_ context.Context, page int) (pipeline.InFlight, error) {
				if page == 4 {
					return nil, broken
				}
				return nil, nil
			},
			Confirm: func(ctx context.Context, page int, _ pipeline.InFlight) error {
				confirmed = append(confirmed, page)
				return ctx.Err()
			},
		}.Run(t.Context())
		if !errors.Is(err, broken) || !slices.Equal(confirmed, []int{1, 2, 3}) {
			t.Fatalf("confirmed are %v, the error is %v", confirmed, err)
		}
	}
}

func TestAFailureEndsTheOtherSteps(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	publish := func(context.Context, int) (pipeline.InFlight, error) { return nil, nil }
	wait := func(ctx context.Context, _ int, _ pipeline.InFlight) error { <-ctx.Done(); return ctx.Err() }
	for name, s := range map[string]pipeline.Steps[int]{
		"read":    {Read: func(_ context.Context, give func(int) error) error { return errors.Join(give(1), broken) }, Publish: publish, Confirm: wait},
		"confirm": {Read: numbers(1000), Publish: publish, Confirm: func(context.Context, int, pipeline.InFlight) error { return broken }},
		"tick": {Read: func(ctx context.Context, _ func(int) error) error { <-ctx.Done(); return nil }, Publish: publish, Confirm: wait,
			Tick: func(context.Context) error { return broken }, Every: time.Millisecond},
	} {
		if err := s.Run(t.Context()); !errors.Is(err, broken) {
			t.Errorf("after %s failed the error is %v", name, err)
		}
	}
}

// A broker takes what it can: the rest is left out, refused or returned, and each answer belongs to its message.
func TestPublish(t *testing.T) {
	t.Parallel()
	broker := rabbitmqtest.Vhost(t)
	want := topology.Compute([]topology.Subscription{{Worker: "sink", RoutingKeys: []string{"sold"}}})
	must(t, rabbitmq.Apply(t.Context(), want, broker))
	session, err := rabbitmq.Open(t.Context(), broker)
	must(t, err)
	defer session.Close()
	publisher, err := session.Publisher(16)
	must(t, err)
	items := []string{"sink", "", "nowhere", "large", "sink"}
	message := func(i int) (rabbitmq.Message, error) {
		m := rabbitmq.Message{Exchange: topology.Retry, RoutingKey: topology.QueueName(items[i]), ID: fmt.Sprint("message ", i), Body: []byte("{}")}
		switch items[i] {
		case "":
			return m, pipeline.ErrLeftOut
		case "large":
			m.Body = make([]byte, 2<<20)
		}
		return m, nil
	}
	var refused []int
	sent, err := pipeline.Publish(t.Context(), publisher, len(items), message, func(i int, why error) error {
		refused = append(refused, i)
		if !errors.Is(why, rabbitmq.ErrUnpublishable) {
			t.Errorf("message %d was refused with %v", i, why)
		}
		return nil
	})
	must(t, err)
	answers := map[int]error{}
	must(t, sent.Wait(t.Context(), func(i int, err error) error { answers[i] = err; return nil }))
	if !slices.Equal(refused, []int{3}) {
		t.Errorf("refused are %v, want the large one", refused)
	}
	if len(answers) != 3 || answers[0] != nil || !errors.Is(answers[2], rabbitmq.ErrUnroutable) || answers[4] != nil {
		t.Errorf("the broker's answers are %v", answers)
	}
	if sent, err := pipeline.Publish(t.Context(), publisher, len(items), message, nil); len(sent) != 3 || !errors.Is(err, rabbitmq.ErrUnpublishable) {
		t.Errorf("without a refusal %d messages were published, %v", len(sent), err)
	}
	stop := errors.New("stop")
	calls := 0
	if err := sent.Wait(t.Context(), func(int, error) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("after %d answers waiting ended with %v", calls, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
