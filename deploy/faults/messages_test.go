package faults_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/audit"
)

// oddFor is how long TestOddMessages goes on; without it, two rounds.
const oddFor = "COMPOSERP_ODD_MESSAGES"

// Messages of every shape that the broker takes reach a running fleet, between sales. Each of them ends as a dead
// letter of each worker that it was for, or has its effect; every sale has its own, within a minute. Half of the
// rounds break the fleet's connections, so that what is in hand comes again.
func TestOddMessages(t *testing.T) {
	t.Parallel()
	goOn, _ := time.ParseDuration(os.Getenv(oddFor))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	broker, database := rabbitmqtest.Vhost(t), storetest.URL(t)
	h := newEnvironment(t, endpoints{
		fleetDatabase: database, fleetExchange: broker.URLs, database: database, exchange: broker.URLs, management: rabbitmqtest.ManagementURL(t),
	})
	h.run(h.fleet()...)
	h.speak()
	o := odd{environment: h, Rand: rand.New(rand.NewPCG(seed, 0))}
	o.open()
	began := time.Now()
	for round := 0; round < 2 || time.Since(began) < goOn; round++ {
		for range 40 {
			o.publish()
		}
		if round%2 == 1 {
			for _, c := range rabbitmqtest.Connections(t, broker) {
				rabbitmqtest.CloseConnection(t, c.Name)
			}
			o.open()
		}
		taken := h.confirmed()
		h.soon(time.Minute, "every sale has moved stock", func() bool { return h.unmoved(taken) == 0 })
		for _, worker := range []string{"ledger", "intake"} {
			died := 0
			if !localtest.Await(time.Minute, func() bool { died = o.letters(worker); return died == o.dead }) {
				t.Errorf("%d of %d messages are dead letters of %s. The fleet's log:\n%s", died, o.dead, worker, h.log.tail())
			}
		}
		if t.Failed() {
			return
		}
	}
	h.rest(audit.Proven)
	t.Logf("%d odd messages in %s: %d died, %d had their effect; %d sales beside them", o.dead+o.good, time.Since(began).Round(time.Second), o.dead, o.good, len(h.confirmed())-o.good)
}

// odd publishes odd messages.
type odd struct {
	*environment
	*rand.Rand
	channel    *amqp.Channel
	dead, good int
}

func (o *odd) open() {
	o.Helper()
	connection, err := amqp.Dial(o.exchange[0])
	o.must(err)
	o.Cleanup(func() { _ = connection.Close() })
	o.channel, err = connection.Channel()
	o.must(err)
	o.must(o.channel.Confirm(false))
}

// letters is how many of the messages are recorded as dead letters of a worker. One whose acknowledgement is lost dies
// twice.
func (o *odd) letters(worker string) int {
	var n int
	if !o.ask(&n, `SELECT count(DISTINCT substring(message_id FROM 'odd-[0-9]+$')) FROM dead_letter WHERE consumer = $1`, worker) {
		return -1
	}
	return n
}

// publish publishes one message and counts what is to become of it.
func (o *odd) publish() {
	o.Helper()
	sale := o.sale(fmt.Sprintf("item-%d", o.IntN(10)))
	body, encoding, valid := o.body(external.Message(sale).Body)
	headers, readable := o.headers()
	m := amqp.Publishing{
		Headers: headers, Body: body, ContentEncoding: encoding, DeliveryMode: uint8(o.IntN(3)), Priority: uint8(o.IntN(256)),
		ContentType: o.text(40), CorrelationId: o.text(255), ReplyTo: o.text(255), AppId: o.text(255), MessageId: fmt.Sprintf("%sodd-%d", o.text(200), o.dead+o.good),
		Timestamp: time.Unix([]int64{0, 1, -1, math.MaxInt32, math.MaxInt64, math.MinInt64, o.Int64()}[o.IntN(7)], 0),
	}
	if o.IntN(3) == 0 {
		if m.Type = o.text(255); m.Type != "" {
			valid = false
		}
	}
	confirmation, err := o.channel.PublishWithDeferredConfirmWithContext(o.Context(), topology.Events, event.TypeSaleCompleted.RoutingKey(), true, false, m)
	o.must(err)
	if taken, err := confirmation.WaitContext(localtest.Context(o, time.Minute)); err != nil || !taken {
		o.Fatalf("the broker does not take %+v: %v", m, err)
	}
	if valid && readable {
		o.good++
		o.note(sale)
	} else {
		o.dead++
	}
}

// body is a sale's body, in one of the encodings that are read, or one that no worker can read.
func (o *odd) body(sale []byte) (body []byte, encoding string, valid bool) {
	pack := func(text []byte) []byte {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(text)
		o.must(err)
		o.must(w.Close())
		return packed.Bytes()
	}
	switch o.IntN(12) {
	case 0:
		return nil, "", false
	case 1:
		return o.bytes(o.IntN(4096)), o.text(20), false
	case 2:
		return sale[:o.IntN(len(sale))], "", false
	case 3:
		return []byte(`{"eventId":` + string(sale)), "", false
	case 4:
		return append(o.bytes(1<<20-len(sale)), sale...), "", false
	case 5:
		return sale, "gzip", false
	case 6:
		return append([]byte("\xEF\xBB\xBF"), sale...), "utf-8", true
	case 7:
		return pack(sale), "gzip", true
	case 8: // small when it is packed
		return pack(make([]byte, 2<<20+o.IntN(64<<20))), "gzip", false
	case 9: // of two bytes each, of three in UTF-8
		return append([]byte([]string{"\xFE\xFF", "\xFF\xFE"}[o.IntN(2)]), o.bytes(1<<20-2)...), "", false
	default:
		return sale, "", true
	}
}

// headers are a table that the broker takes, and whether the library of the fleet reads it.
func (o *odd) headers() (table amqp.Table, readable bool) {
	switch o.IntN(6) {
	case 0:
		return nil, true
	case 1: // more entries than the library reads
		table = amqp.Table{}
		for n := range 8193 + o.IntN(300) {
			table[fmt.Sprint(n)] = nil
		}
		return table, false
	case 2: // more levels
		var inner any = "end"
		for range 34 + o.IntN(30) {
			if o.IntN(2) == 0 {
				inner = amqp.Table{o.text(3): inner}
			} else {
				inner = []any{inner}
			}
		}
		return amqp.Table{"deep": inner, rabbitmq.HeaderAttempt: int64(1)}, false
	default:
		return o.table(3), true
	}
}

func (o *odd) table(levels int) amqp.Table {
	table := amqp.Table{}
	for range o.IntN(8) {
		table[o.text(255)] = o.value(levels)
	}
	for _, ours := range []string{rabbitmq.HeaderAttempt, rabbitmq.HeaderDeferred, rabbitmq.HeaderWaitsFor, rabbitmq.HeaderError, rabbitmq.HeaderFirstFailedAt, rabbitmq.HeaderLogSeq, rabbitmq.HeaderUserID, "x-death", "x-delivery-count"} {
		if o.IntN(12) == 0 {
			table[ours] = o.value(levels)
		}
	}
	return table
}

func (o *odd) value(levels int) any {
	kinds := 16
	if levels == 0 {
		kinds = 14
	}
	switch o.IntN(kinds) {
	case 0:
		return o.IntN(2) == 0
	case 1:
		return byte(o.Uint32())
	case 2:
		return int8(o.Uint32())
	case 3:
		return int16(o.Uint32())
	case 4:
		return uint16(o.Uint32())
	case 5:
		return int32(o.Uint32())
	case 6:
		return o.Uint32()
	case 7:
		return int64(o.Uint64())
	case 8:
		return float32(o.finite(func() float64 { return float64(math.Float32frombits(o.Uint32())) }))
	case 9:
		return o.finite(func() float64 { return math.Float64frombits(o.Uint64()) })
	case 10:
		return o.text(2000)
	case 11:
		return o.bytes(o.IntN(2000))
	case 12:
		return amqp.Decimal{Scale: byte(o.Uint32()), Value: int32(o.Uint32())}
	case 13:
		return []any{nil, time.Unix(int64(o.Uint64()), 0)}[o.IntN(2)]
	case 14:
		return o.table(levels - 1)
	default:
		list := make([]any, o.IntN(5))
		for i := range list {
			list[i] = o.value(levels - 1)
		}
		return list
	}
}

// finite draws until it has a number: the broker ends the connection of a publisher that sends NaN or an infinity.
func (o *odd) finite(draw func() float64) float64 {
	for {
		if f := draw(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
}

func (o *odd) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(o.Uint32())
	}
	return b
}

// text is empty, plain, or bytes that are no text, with a zero among them.
func (o *odd) text(most int) string {
	switch o.IntN(4) {
	case 0:
		return ""
	case 1:
		return "plain"
	case 2:
		return string(append(o.bytes(o.IntN(most)), 0))
	default:
		return string([]rune{'é', '\u202e', '\u0000', '文'}[o.IntN(4)])
	}
}
