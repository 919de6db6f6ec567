package workers_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/intake"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// A sale of a newer till has fields that this fleet does not know: what intake logs is what the till has sent, byte for
// byte, and the sale is booked.
func TestIntakeKeepsUnknownFields(t *testing.T) {
	t.Parallel()
	in, book := intake.New(), ledger.New()
	h := workertest.NewEnv(t, in, book)
	defer h.StartFleet(in, book)()
	id := uuid.NewString()
	body := fmt.Sprintf(`{ "loyalty":{"card":"7","points":[1.50,null]},"eventId":%q, "eventType":"SALE_COMPLETED","aggregateType":"SALES_ORDER","aggregateId":"S1","tenantId":"acme",
		"timestamp":"2026-02-09T12:00:00+01:00","version":"1.0","payload":{"mood":"<&>","saleId":"S1","itemId":"cup","locationId":"LON","quantity":1.0,"amount":4.00,"timestamp":"2026-02-09T12:00:00+01:00"},
		"metadata":{"source":"till","shift":7}}`, id)
	h.Send(rabbitmq.Message{Exchange: topology.Events, RoutingKey: event.TypeSaleCompleted.RoutingKey(), ID: id, Type: string(event.TypeSaleCompleted), Body: []byte(body)})
	h.Eventually("the sale is logged", func() bool {
		return storetest.Value[string](t, h.URL, `SELECT coalesce(max(body), '') FROM event_log WHERE event_id = $1`, id) == body
	})
	h.Eventually("the sale is booked", func() bool {
		return storetest.Value[int](t, h.URL, `SELECT count(*) FROM movement WHERE event_id = $1`, id) > 0
	})
}
