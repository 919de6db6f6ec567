package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// Route is how a message reaches the fleet.
type Route string

// The routes: through the log, by admission; and straight over AMQP.
const (
	RouteLog  Route = "log"
	RouteAMQP Route = "amqp"
)

// Kind is what must become of a message.
type Kind string

// The kinds of messages.
const (
	Fresh    Kind = "fresh"    // a new event: applied once
	Repeated Kind = "repeated" // an event that was published before, by either route: changes nothing
	Altered  Kind = "altered"  // other content under the id of an event in the log: refused
	Invalid  Kind = "invalid"  // a message that is not an event: a dead letter of every consumer
)

// Publication is one publishing of a message.
type Publication struct {
	Kind  Kind
	Route Route
	Event event.Any // of an invalid message only ID and Body
}

// The business: a tenant with some items at some locations. All events of a run span the same days of business time.
const (
	tenant       = "chaos"
	items        = 40
	spannedDays  = 28
	openingStock = 500
)

var (
	locations = []string{"WAREHOUSE", "SHOP-1", "SHOP-2"}
	opening   = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)
)

func itemOf(i int) string { return fmt.Sprintf("SKU-%03d", i) }

// idSpace is the UUID namespace of the events' ids.
var idSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/chaos"))

func idOf(seed uint64, name string) uuid.UUID {
	return uuid.NewSHA1(idSpace, fmt.Appendf(nil, "%d\x00%s", seed, name))
}

// Shares out of a thousand: first of the messages that precede an event, then of the types of events. The rest are
// sales.
const (
	repeatedShare, alteredShare, invalidShare             = 60, 5, 10
	receiptShare, transferShare, adjustShare, returnShare = 150, 60, 40, 50
)

// generator makes the publications of a seed.
type generator struct {
	seed         uint64
	r            *rand.Rand
	at           time.Time
	gap          time.Duration
	publications []Publication
	logged       []event.Any // events that go through the log
	events       []event.Any
	inTransit    []transfer // transfers that have not arrived
}

type transfer struct {
	id, item, to string
	quantity     event.Decimal
}

// Publications gives the publications of a run: first the opening stock, then n events with repetitions and invalid
// messages between them.
func Publications(seed uint64, n int) ([]Publication, error) {
	g := &generator{seed: seed, r: randomFor(seed, streamPublications), at: opening, gap: spannedDays * 24 * time.Hour / time.Duration(max(n, 1))}
	for i := range items {
		for _, l := range locations {
			id := fmt.Sprintf("opening-%s-%s", itemOf(i), l)
			if err := g.addEvent(id, event.ReceiptCompleted{ReceiptID: id, ItemID: itemOf(i), LocationID: l, Quantity: event.NewDecimal(openingStock), Timestamp: g.at}); err != nil {
				return nil, err
			}
		}
	}
	for i := range n {
		g.at = g.at.Add(g.gap)
		if err := g.next(i); err != nil {
			return nil, err
		}
	}
	return g.publications, nil
}

// next adds one event and, now and then, another message before it.
func (g *generator) next(i int) error {
	switch roll := g.r.IntN(1000); {
	case roll < repeatedShare:
		g.add(Repeated, g.route(), g.events[len(g.events)-1-g.r.IntN(min(len(g.events), 200))])
	case roll < repeatedShare+alteredShare && len(g.logged) > 0:
		altered := g.logged[g.r.IntN(len(g.logged))]
		altered.Metadata.UserID = "another user"
		e, err := event.Encode(altered.Envelope, altered.Payload)
		if err != nil {
			return fmt.Errorf("altering event %s: %w", altered.ID, err)
		}
		g.add(Altered, RouteLog, e)
	case roll < repeatedShare+alteredShare+invalidShare:
		g.add(Invalid, RouteAMQP, g.invalid(i))
	}
	id, p := g.payload(i)
	return g.addEvent(id, p)
}

// payload draws an event.
func (g *generator) payload(i int) (string, event.Payload) {
	item, location := itemOf(g.r.IntN(items)), locations[g.r.IntN(len(locations))]
	quantity := g.quantity(item)
	id := fmt.Sprintf("%06d", i)
	roll := g.r.IntN(1000)
	switch {
	case roll < receiptShare && len(g.inTransit) > 0 && roll%2 == 0:
		t := g.inTransit[0]
		g.inTransit = g.inTransit[1:]
		return "arrival-" + id, event.ReceiptCompleted{ReceiptID: "arrival-" + id, ItemID: t.item, LocationID: t.to, Quantity: t.quantity, TransferID: t.id, Timestamp: g.at}
	case roll < receiptShare:
		r := event.ReceiptCompleted{ReceiptID: "receipt-" + id, ItemID: item, LocationID: location, Quantity: quantity, Timestamp: g.at}
		if roll%3 == 0 {
			r.LotNumber, r.ExpiryDate = "L"+id, event.DateOf(g.at).AddDays(60+roll)
		}
		return r.ReceiptID, r
	case roll < receiptShare+transferShare:
		t := transfer{"transfer-" + id, item, locations[(g.r.IntN(2)+1)%len(locations)], quantity}
		from := locations[0]
		if t.to == from {
			from = locations[1]
		}
		g.inTransit = append(g.inTransit, t)
		return t.id, event.TransferInitiated{TransferID: t.id, ItemID: item, FromLocationID: from, ToLocationID: t.to, Quantity: quantity}
	case roll < receiptShare+transferShare+adjustShare:
		if roll%2 == 0 {
			quantity = quantity.Neg()
		}
		return "adjustment-" + id, event.StockAdjusted{AdjustmentID: "adjustment-" + id, ItemID: item, LocationID: location, Quantity: quantity, Reason: "chaos"}
	case roll < receiptShare+transferShare+adjustShare+returnShare:
		quantity = quantity.Neg()
	}
	return "sale-" + id, event.SaleCompleted{SaleID: "sale-" + id, ItemID: item, LocationID: location, Quantity: quantity, Amount: quantity, ItemName: "Item " + item, Timestamp: g.at}
}

// quantity draws a whole number, or a fraction for items that are sold by weight.
func (g *generator) quantity(item string) event.Decimal {
	whole, thousandths := g.r.Int64N(5)+1, g.r.Int64N(1000)
	if item >= itemOf(5) {
		thousandths = 0
	}
	d, err := event.ParseDecimal(fmt.Sprintf("%d.%03d", whole, thousandths))
	if err != nil {
		panic(fmt.Sprintf("chaos: writing a quantity: %v", err))
	}
	return d
}

func (g *generator) route() Route {
	if g.r.IntN(2) == 0 {
		return RouteLog
	}
	return RouteAMQP
}

func (g *generator) addEvent(name string, p event.Payload) error {
	e, err := eventOf(g.seed, name, g.at, p)
	if err != nil {
		return err
	}
	route := g.route()
	g.add(Fresh, route, e)
	g.events = append(g.events, e)
	if route == RouteLog {
		g.logged = append(g.logged, e)
	}
	return nil
}

func (g *generator) add(kind Kind, route Route, e event.Any) {
	g.publications = append(g.publications, Publication{Kind: kind, Route: route, Event: e})
}

// eventOf makes an event with an id that follows from the seed and the name.
func eventOf(seed uint64, name string, at time.Time, p event.Payload) (event.Any, error) {
	e, err := event.Encode(event.Envelope{
		ID: idOf(seed, name), AggregateID: name, TenantID: tenant, Timestamp: at, Metadata: event.Metadata{Source: "chaos", UserID: "till"},
	}, p)
	if err != nil {
		return e, fmt.Errorf("making event %s: %w", name, err)
	}
	return e, nil
}

// invalid makes a message that is not an event: not JSON, against its schema, or without a tenant.
func (g *generator) invalid(i int) event.Any {
	id := idOf(g.seed, fmt.Sprintf("stray-%06d", i))
	envelope := map[string]any{
		"eventId": id, "eventType": event.TypeSaleCompleted, "aggregateType": "SALES_ORDER", "aggregateId": "stray", "tenantId": tenant,
		"timestamp": g.at.Format(time.RFC3339), "version": "1.0", "metadata": map[string]any{"source": "chaos"},
		"payload": map[string]any{"saleId": "stray", "itemId": itemOf(0), "locationId": locations[0], "quantity": 1, "amount": 1, "timestamp": g.at.Format(time.RFC3339)},
	}
	switch g.r.IntN(3) {
	case 0:
		return event.Any{Envelope: event.Envelope{ID: id}, Body: fmt.Appendf(nil, "no JSON %s", id)}
	case 1:
		envelope["payload"].(map[string]any)["quantity"] = 0
	case 2:
		delete(envelope, "tenantId")
	}
	body, err := json.Marshal(envelope)
	if err != nil {
		panic(fmt.Sprintf("chaos: writing an invalid message: %v", err))
	}
	return event.Any{Envelope: event.Envelope{ID: id}, Body: body}
}
