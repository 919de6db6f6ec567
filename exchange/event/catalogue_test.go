package event_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
)

func TestCatalogueIsTheDesigns(t *testing.T) {
	t.Parallel()
	want := []string{
		"SALE_COMPLETED integration.sale_completed SALES_ORDER outside",
		"RECEIPT_COMPLETED integration.receipt_completed RECEIPT outside",
		"TRANSFER_INITIATED integration.transfer_initiated TRANSFER outside",
		"STOCK_ADJUSTED integration.stock_adjusted STOCK_ADJUSTMENT outside",
		"STOCK_COUNTED integration.stock_counted STOCK_COUNT outside",
		"INVENTORY_UPDATED inventory.updated INVENTORY_POSITION",
		"INVENTORY_LOW_STOCK inventory.low_stock INVENTORY_POSITION",
		"LOT_EXPIRING inventory.lot_expiring LOT",
		"RULE_CHANGED inventory.rule_changed REPLENISHMENT_RULE",
		"REPLENISHMENT_TRIGGERED inventory.replenishment_triggered REPLENISHMENT_RULE",
		"PURCHASE_ORDER_CREATED purchase_order.created PURCHASE_ORDER",
		"PURCHASE_ORDER_APPROVED purchase_order.approved PURCHASE_ORDER",
		"PURCHASE_ORDER_CANCELLED purchase_order.cancelled PURCHASE_ORDER",
		"PURCHASE_ORDER_ESCALATED purchase_order.escalated PURCHASE_ORDER",
		"PURCHASE_ORDER_CLOSED purchase_order.closed PURCHASE_ORDER",
		"FORECAST_GENERATED forecast.generated FORECAST",
		// Registered by init functions of the tests.
		"SHELF_INSPECTED store-ops.shelf_inspected SHELF",
		"TRAY_WEIGHED kitchen.tray_weighed TRAY outside",
		"COUPON_REDEEMED marketing.coupon_redeemed COUPON outside",
	}
	var got []string
	for _, typ := range event.Types() {
		d, ok := event.Lookup(typ)
		if !ok || d.Version != versionOf(typ) || typ.RoutingKey() != d.RoutingKey {
			t.Errorf("Lookup(%s) = %+v, %v", typ, d, ok)
		}
		line := string(d.Type) + " " + d.RoutingKey + " " + d.AggregateType
		if d.Outside {
			line += " outside"
		}
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the catalogue is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, ok := event.Lookup("NOTHING"); ok || event.Type("NOTHING").RoutingKey() != "" {
		t.Error("the catalogue has NOTHING")
	}
}

// registered is the number of types that the tests register.
const registered = 3

func versionOf(typ event.Type) string {
	switch typ {
	case "SHELF_INSPECTED":
		return "2.1"
	case event.TypeInventoryUpdated:
		return "2.0"
	case "TRAY_WEIGHED":
		return "3.0"
	}
	return "1.0"
}

// payloadSchema is the part of a schema that the tests below compare.
type payloadSchema struct {
	Required   []string
	Properties map[string]any
}

// TestEveryTypeIsComplete finds a type without a payload, schema or example, and a field that is not in all three.
func TestEveryTypeIsComplete(t *testing.T) {
	t.Parallel()
	for _, typ := range event.Types() {
		t.Run(string(typ), func(t *testing.T) {
			t.Parallel()
			a := exampleOf(t, typ)
			d, _ := event.Lookup(typ)
			if a.Payload.EventType() != typ || a.Type != typ || reflect.TypeOf(a.Payload) != d.Payload {
				t.Fatalf("the example is a %s with a payload of %s", a.Type, a.Payload.EventType())
			}
			var schema payloadSchema
			if err := json.Unmarshal([]byte(d.Schema), &schema); err != nil {
				t.Fatal(err)
			}
			var names, needed []string
			v := reflect.ValueOf(a.Payload)
			for f, value := range v.Fields() {
				name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
				names = append(names, name)
				if option == "" {
					needed = append(needed, name)
				}
				if value.IsZero() && name != "quantity" {
					t.Errorf("the example has no %s", name)
				}
			}
			if !slices.Equal(schema.Required, needed) {
				t.Errorf("the schema requires %v, the struct %v", schema.Required, needed)
			}
			slices.Sort(names)
			if known := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(known, names) {
				t.Errorf("the schema knows %v, the struct %v", known, names)
			}
		})
	}
}

// TestTagsAndFieldsAgree compares the writer's JSON with that of encoding/json, which prints payloads elsewhere: for
// the examples, and for the examples without their optional fields.
func TestTagsAndFieldsAgree(t *testing.T) {
	t.Parallel()
	for _, typ := range event.Types() {
		a := exampleOf(t, typ)
		for _, p := range []event.Payload{a.Payload, withoutOptional(a.Payload)} {
			made, err := event.Encode(a.Envelope, p)
			if err != nil {
				t.Fatal(err)
			}
			byTags, err := json.Marshal(struct {
				event.Envelope
				Payload event.Payload `json:"payload"`
			}{made.Envelope, made.Payload})
			if err != nil {
				t.Fatal(err)
			}
			// The order differs: encoding/json writes the metadata before the payload.
			if got, want := sortKeys(t, made.Body), sortKeys(t, byTags); got != want {
				t.Errorf("%s: fields write\n%s\ntags write\n%s", typ, got, want)
			}
			if back, err := event.DecodeOutside(made.Body); err != nil || !reflect.DeepEqual(back, made) {
				t.Errorf("%s: Encode returned\n%+v\nDecodeOutside\n%+v, %v", typ, made, back, err)
			}
		}
	}
}

// withoutOptional returns a copy of a payload whose optional fields are zero.
func withoutOptional(p event.Payload) event.Payload {
	v := reflect.New(reflect.TypeOf(p)).Elem()
	v.Set(reflect.ValueOf(p))
	for f, value := range v.Fields() {
		if strings.Contains(f.Tag.Get("json"), ",omit") {
			value.SetZero()
		}
	}
	return v.Interface().(event.Payload)
}

func sortKeys(t *testing.T, body []byte) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(sorted)
}

func TestNoFilesWithoutAType(t *testing.T) {
	t.Parallel()
	want := len(event.Types())
	if files, err := os.ReadDir("testdata"); err != nil || len(jsonOnly(files)) != want {
		t.Errorf("testdata has %d examples (%v), the catalogue %d types", len(files), err, want)
	}
	versions := 0
	for _, typ := range event.Types()[:want-registered] {
		d, _ := event.Lookup(typ)
		versions += 1 + len(d.Former)
	}
	if files, err := os.ReadDir("schema"); err != nil || len(jsonOnly(files)) != versions+1 {
		t.Errorf("there are %d schemas (%v) for %d versions of types and the envelope", len(files), err, versions)
	}
}

func jsonOnly(files []fs.DirEntry) []fs.DirEntry {
	return slices.DeleteFunc(slices.Clone(files), func(f fs.DirEntry) bool { return !strings.HasSuffix(f.Name(), ".json") })
}
