package contract

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/composerp/composerp/exchange/event"
)

// TestNothingPublishedBreaks: what was published of an event type holds, or has an upcaster.
// `composerp contracts check` says the same, with the consumers that a refused change would hurt.
func TestNothingPublishedBreaks(t *testing.T) {
	t.Parallel()
	last, now := loaded(t)
	changes, err := Compare(last, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.Breaking {
			t.Errorf("%s %s %s %s", c.Type, c.Version, c.Field, c.What)
		}
		if c.What == "has no golden event" {
			t.Errorf("%s %s has no golden event: add to goldenRun of cli/contracts_golden_test.go what emits it", c.Type, c.Version)
		}
	}
}

func loaded(t *testing.T) (last, now Set) {
	t.Helper()
	last, err := Published()
	if err != nil {
		t.Fatal(err)
	}
	if now, err = Current(); err != nil {
		t.Fatal(err)
	}
	return last, now
}

// Each kind of refused change of a real schema is found, also when its golden events hide it.
func TestAChangeOfARealSchemaIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, want string }{
		{"INVENTORY_UPDATED-1.0", `"required": ["itemId", `, `"required": ["itemId", "reserved", `, "payload.reserved is required now"},
		{"INVENTORY_UPDATED-1.0", `, "COUNT"]`, `]`, "payload.transactionType no longer takes COUNT"},
		{"PURCHASE_ORDER_CREATED-1.0", `"minItems": 1`, `"minItems": 2`, "payload.lines has the minItems 2, it was 1"},
		{"PURCHASE_ORDER_CREATED-1.0", `"unitPrice": {"$ref": "envelope-1.0.json#/$defs/decimal", "minimum": 0`, `"unitCost": {"$ref": "envelope-1.0.json#/$defs/decimal", "minimum": 0`, "payload.lines[].unitPrice is gone"},
		{"SALE_COMPLETED-1.0", `"itemName": {"$ref": "envelope-1.0.json#/$defs/name"`, `"itemName": {"$ref": "envelope-1.0.json#/$defs/note"`, ""},
		{"SALE_COMPLETED-1.0", `"itemName": {"$ref": "envelope-1.0.json#/$defs/name"`, `"itemName": {"$ref": "envelope-1.0.json#/$defs/id"`, "payload.itemName has the format opaque-id, it was plain-text"},
	} {
		last, now := loaded(t)
		was := now.Schemas[c.name]
		now.Schemas[c.name] = strings.Replace(was, c.old, c.new, 1)
		if now.Schemas[c.name] == was {
			t.Fatalf("%s has no %s", c.name, c.old)
		}
		changes, err := Compare(last, now)
		if err != nil {
			t.Fatal(err)
		}
		var refused []string
		for _, change := range changes {
			if change.Breaking {
				refused = append(refused, change.Field+" "+change.What)
			}
		}
		if got := strings.Join(refused, "; "); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.new, got, c.want)
		}
	}
}

// A golden event that was published once, and that this program no longer reads, is a refusal.
func TestEveryGoldenEventIsRead(t *testing.T) {
	t.Parallel()
	last, now := loaded(t)
	events := last.Golden["STOCK_COUNTED-1.0"]
	last.Golden = maps.Clone(last.Golden)
	last.Golden["STOCK_COUNTED-1.0"] = append(slices.Clone(events), strings.Replace(events[0], `"quantity":50`, `"quantity":-1`, 1))
	changes, err := Compare(last, now)
	if err != nil || !IsBreaking(changes) {
		t.Fatalf("%+v, %v", changes, err)
	}
	for _, c := range changes {
		if c.Breaking && (c.Type != event.TypeStockCounted || !strings.Contains(c.What, "is no longer read: payload.quantity: want at least 0, got number -1")) {
			t.Errorf("%+v", c)
		}
	}
}

// A set is read as it was written, and the next one keeps the golden events of the last.
func TestASetInFiles(t *testing.T) {
	t.Parallel()
	last, now := loaded(t)
	old := strings.Replace(now.Golden["STOCK_COUNTED-1.0"][0], `"quantity":50`, `"quantity":51`, 1)
	last.Golden = maps.Clone(last.Golden)
	last.Golden["STOCK_COUNTED-1.0"] = []string{old}
	files, err := now.Onto(last).Files()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, want := range []int{len(files), 0} {
		if changed, err := WriteFiles(dir, files); err != nil || changed != want {
			t.Errorf("%d files changed, want %d: %v", changed, want, err)
		}
	}
	held := fstest.MapFS{}
	for name, text := range files {
		held[name] = &fstest.MapFile{Data: []byte(text)}
	}
	back, err := Read(held)
	if err != nil || back.Envelope != now.Envelope || !maps.Equal(back.Schemas, now.Schemas) || len(back.Types) != len(now.Types) {
		t.Errorf("read again: %v", err)
	}
	if golden := back.Golden["STOCK_COUNTED-1.0"]; golden[0] != old || len(golden) != 1+len(now.Golden["STOCK_COUNTED-1.0"]) {
		t.Errorf("golden events: %q", golden)
	}
	delete(held, "schema/STOCK_COUNTED-1.0.json")
	if _, err := Read(held); err == nil {
		t.Error("a set without a schema is whole")
	}
}
