package event_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	shopspring "github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/composerp/composerp/exchange/event"
)

// TestEncodeRefusesBadEvents: a bad event fails where it is made, not in its consumers.
func TestEncodeRefusesBadEvents(t *testing.T) {
	t.Parallel()
	_, good, a := typical(t)
	for _, c := range []struct {
		want  string
		spoil func(env *event.Envelope, p *event.InventoryUpdated)
	}{
		{`eventId: want a UUID that is not all zeros, got string "00000000-0000-0000-0000-000000000000"`, func(e *event.Envelope, _ *event.InventoryUpdated) { e.ID = uuid.Nil }},
		{`eventType: is SALE_COMPLETED, but the payload is one of INVENTORY_UPDATED`, func(e *event.Envelope, _ *event.InventoryUpdated) { e.Type = event.TypeSaleCompleted }},
		{`tenantId: want 1 to 64 bytes without control characters, got string ""`, func(e *event.Envelope, _ *event.InventoryUpdated) { e.TenantID = "" }},
		{`aggregateId: not UTF-8`, func(e *event.Envelope, _ *event.InventoryUpdated) { e.AggregateID = "\xff" }},
		{`timestamp: want an RFC 3339 time such as 2026-02-09T12:00:00Z, got 0001-01-01 00:00:00 +0000 UTC`, func(e *event.Envelope, _ *event.InventoryUpdated) { e.Timestamp = time.Time{} }},
		{`version: no version "1.9" of INVENTORY_UPDATED, want "2.0"`, func(e *event.Envelope, _ *event.InventoryUpdated) { e.Version = "1.9" }},
		{`payload.itemId: want 1 to 64 bytes without control characters, got string ""`, func(_ *event.Envelope, p *event.InventoryUpdated) { p.ItemID = "" }},
		{`payload.lotNumber: not UTF-8`, func(_ *event.Envelope, p *event.InventoryUpdated) { p.LotNumber = "a\xc3" }},
		{`payload.transactionType: want one of SALE, RETURN, RECEIPT, TRANSFER, ADJUSTMENT, COUNT, got string "GIFT"`, func(_ *event.Envelope, p *event.InventoryUpdated) { p.TransactionType = "GIFT" }},
		{`payload.onHand: want at most 15 integer and 6 fractional digits, got 1000000000000000`, func(_ *event.Envelope, p *event.InventoryUpdated) { p.OnHand = event.NewDecimal(1e15) }},
		{`payload.onHand: want at most 15 integer and 6 fractional digits, got a number of 1 digits and exponent 999999999`, func(_ *event.Envelope, p *event.InventoryUpdated) {
			p.OnHand = event.Decimal{Decimal: shopspring.New(1, 999_999_999)}
		}},
		{`metadata.userId: want 1 to 64 bytes without control characters, got string "a\nb"`, func(e *event.Envelope, _ *event.InventoryUpdated) { e.Metadata.UserID = "a\nb" }},
		{`metadata.sequence: want at least 0, got number -1`, func(e *event.Envelope, _ *event.InventoryUpdated) { e.Metadata.Sequence = -1 }},
	} {
		env, p := a.Envelope, good
		c.spoil(&env, &p)
		_, err := event.Encode(env, p)
		checkError(t, err, c.want)
	}
	_, err := event.Encode(a.Envelope, nil)
	checkError(t, err, `payload: missing`)
	_, err = event.Encode(a.Envelope, stranger{})
	checkError(t, err, `eventType: unknown type "STRANGER"`)
	_, err = event.Encode(event.Envelope{}, impostor{})
	checkError(t, err, `payload: a Go type that is not the catalogue's for INVENTORY_UPDATED`)
}

type stranger struct{}

func (stranger) EventType() event.Type { return "STRANGER" }

type impostor struct{}

func (impostor) EventType() event.Type { return event.TypeInventoryUpdated }

// TestEncodeThenDecode: any text comes back the same, and the same event always has the same bytes.
func TestEncodeThenDecode(t *testing.T) {
	t.Parallel()
	_, _, a := typical(t)
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r >= ' ' && (r < 0x7f || r > 0x9f) || r == '\n' || r == '\t' }), 1, 60, -1)
		env := a.Envelope
		env.Type, env.AggregateType, env.Version = "", "", ""
		env.Timestamp = time.Unix(rapid.Int64Range(-60_000_000_000, 250_000_000_000).Draw(rt, "second"), rapid.Int64Range(0, 999_999_999).Draw(rt, "nano")).
			In(time.FixedZone("", rapid.IntRange(-50_000, 50_000).Draw(rt, "zone")))
		p := event.SaleCompleted{
			SaleID: "1", ItemID: "2", LocationID: "3", ItemName: name.Draw(rt, "name"), Timestamp: env.Timestamp,
			Quantity: event.NewDecimal(rapid.Int64Range(1, 999_999_999_999_999).Draw(rt, "quantity")),
			Amount:   decimal(t, shopspring.New(rapid.Int64Min(0).Draw(rt, "amount"), -6).String()),
		}
		one, err := event.Encode(env, p)
		if err != nil {
			rt.Fatal(err)
		}
		two, err := event.Encode(env, &p)
		if err != nil || !bytes.Equal(one.Body, two.Body) {
			rt.Fatalf("the same event twice: %v\n%s\n%s", err, one.Body, two.Body)
		}
		back, err := event.DecodeOutside(one.Body)
		if err != nil {
			rt.Fatal(err)
		}
		if !reflect.DeepEqual(one, back) {
			rt.Fatalf("made\n%+v\nread\n%+v", one, back)
		}
		if d := env.Timestamp.Sub(back.Timestamp); d < 0 || d >= time.Microsecond || back.Timestamp.Nanosecond()%1000 != 0 {
			rt.Fatalf("the time moved by %s, to %s", d, back.Timestamp)
		}
	})
}

// TestEscapes pins the bytes of strings.
func TestEscapes(t *testing.T) {
	t.Parallel()
	_, _, a := typical(t)
	p := event.StockAdjusted{AdjustmentID: "<&>", ItemID: `\"/`, LocationID: "Zoë 😀", Quantity: event.NewDecimal(1), Reason: "a\tb\nc"}
	env := a.Envelope
	env.Type, env.Version = "", ""
	made, err := event.Encode(env, p)
	if err != nil {
		t.Fatal(err)
	}
	want := `"payload":{"adjustmentId":"<&>","itemId":"\\\"/","locationId":"Zoë 😀","quantity":1,"reason":"a\tb\nc"}`
	if !strings.Contains(string(made.Body), want) {
		t.Errorf("got %s\nwant %s", made.Body, want)
	}
}
