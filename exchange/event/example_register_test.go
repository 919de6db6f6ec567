package event_test

import (
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/google/uuid"
)

// CouponRedeemed is a coupon that a customer has paid with.
type CouponRedeemed struct {
	CouponID   string        `json:"couponId"`
	SaleID     string        `json:"saleId"`
	Amount     event.Decimal `json:"amount" event:"positive"`
	Campaign   string        `json:"campaign,omitempty" event:"name"`
	ValidUntil event.Date    `json:"validUntil,omitempty"`
}

// EventType is COUPON_REDEEMED.
func (CouponRedeemed) EventType() event.Type { return "COUPON_REDEEMED" }

func init() {
	event.Register[CouponRedeemed](event.Definition{
		RoutingKey: "marketing.coupon_redeemed", AggregateType: "COUPON", Version: "1.0", Outside: true,
	})
}

// A team declares an event type as a struct and registers it in an init function. Events of the type are then encoded,
// decoded and checked as those of a built-in type.
func ExampleRegister() {
	made, err := event.Encode(event.Envelope{
		ID: uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad2"), AggregateID: "C-7", TenantID: "acme",
		Timestamp: time.Date(2026, 2, 9, 12, 0, 0, 0, time.UTC),
	}, CouponRedeemed{CouponID: "C-7", SaleID: "541431", Amount: event.NewDecimal(5)})
	fmt.Println(made.Type, made.Type.RoutingKey(), err)

	read, err := event.DecodeOutside(made.Body)
	coupon, ok := event.As[CouponRedeemed](read)
	fmt.Println(coupon.Payload.CouponID, coupon.Payload.Amount, ok, err)

	_, err = event.Encode(made.Envelope, CouponRedeemed{CouponID: "C-8", SaleID: "541431"})
	fmt.Println(err)

	definition, _ := event.Lookup("COUPON_REDEEMED")
	fmt.Print(definition.Schema)
	// Output:
	// COUPON_REDEEMED marketing.coupon_redeemed <nil>
	// C-7 5 true <nil>
	// payload.amount: want more than 0, got number 0
	// {
	//   "$schema": "https://json-schema.org/draft/2020-12/schema",
	//   "title": "Payload of COUPON_REDEEMED, version 1.0",
	//   "type": "object",
	//   "required": ["couponId", "saleId", "amount"],
	//   "properties": {
	//     "couponId": {"$ref": "envelope-1.0.json#/$defs/id"},
	//     "saleId": {"$ref": "envelope-1.0.json#/$defs/id"},
	//     "amount": {"$ref": "envelope-1.0.json#/$defs/decimal", "exclusiveMinimum": 0},
	//     "campaign": {"$ref": "envelope-1.0.json#/$defs/name"},
	//     "validUntil": {"$ref": "envelope-1.0.json#/$defs/date"}
	//   }
	// }
}
