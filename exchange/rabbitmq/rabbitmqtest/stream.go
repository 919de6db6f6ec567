package rabbitmqtest

import (
	"strconv"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

// StreamMessage is a message of a stream and where it stands there.
type StreamMessage struct {
	Offset, LogSeq int64
	ID, Type, Key  string
	Body           []byte
}

// streamPrefetch is the credit of a client that Attach attaches.
const streamPrefetch = 100

// Attach attaches a client to a stream queue, as any program would, until the test ends. offset is an x-stream-offset:
// first, last, next, a number or a time.
func Attach(t testing.TB, config rabbitmq.Config, queue string, offset any) <-chan StreamMessage {
	t.Helper()
	connection, err := amqp.Dial(config.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	got, done := make(chan StreamMessage, 100_000), make(chan struct{})
	t.Cleanup(func() { _ = connection.Close(); <-done })
	channel, err := connection.Channel()
	if err == nil {
		err = channel.Qos(streamPrefetch, 0, false)
	}
	var deliveries <-chan amqp.Delivery
	if err == nil {
		deliveries, err = channel.Consume(queue, "", false, false, false, false, amqp.Table{"x-stream-offset": offset})
	}
	if err != nil {
		close(done)
		t.Fatalf("attaching to %s at %v: %v", queue, offset, err)
	}
	go func() {
		defer close(done)
		for d := range deliveries {
			m := StreamMessage{Offset: number(d.Headers["x-stream-offset"]), LogSeq: number(d.Headers[rabbitmq.HeaderLogSeq]), ID: d.MessageId, Type: d.Type, Key: d.RoutingKey, Body: d.Body}
			got <- m
			_ = d.Ack(false)
		}
	}()
	return got
}

// number is a header's number, -1 where it is none.
func number(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case int32:
		return int64(n)
	case string:
		if i, err := strconv.ParseInt(n, 10, 64); err == nil {
			return i
		}
	}
	return -1
}
