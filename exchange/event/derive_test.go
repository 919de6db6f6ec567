package event_test

import (
	"bytes"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// TestDerivedIDsStay pins ids that another program computed. If they changed, consumers would handle events a second
// time.
func TestDerivedIDsStay(t *testing.T) {
	t.Parallel()
	cause := uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad2")
	for _, c := range []struct {
		got  uuid.UUID
		want string
	}{
		{event.DeriveID("ledger", cause, 0), "b5ee20e6-c821-599b-8a23-7c88dd72fede"},
		{event.DeriveID("ledger", cause, 1), "ec1759a0-9718-5f31-9094-811780e3bdf7"},
		{event.TimerID("forecasting", "UK-WH/85123A", "2026-02-09"), "c77b645d-7d06-5f4e-84a3-5d95bf9e874f"},
	} {
		if c.got.String() != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
		if c.got.Version() != 5 || c.got.Variant() != uuid.RFC4122 {
			t.Errorf("%s is of version %d", c.got, c.got.Version())
		}
	}
}

func TestDerivedIDsDiffer(t *testing.T) {
	t.Parallel()
	a, b := uuid.New(), uuid.New()
	seen := map[uuid.UUID]string{}
	for name, id := range map[string]uuid.UUID{
		"ledger a 0": event.DeriveID("ledger", a, 0), "ledger a 1": event.DeriveID("ledger", a, 1), "ledger b 0": event.DeriveID("ledger", b, 0),
		"alert a 0": event.DeriveID("alert", a, 0), "timer ab c d": event.TimerID("ab", "c", "d"), "timer a bc d": event.TimerID("a", "bc", "d"),
		"timer a b cd": event.TimerID("a", "b", "cd"), "timer a bcd": event.TimerID("a", "bcd", ""),
	} {
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same id", name, other)
		}
		seen[id] = name
	}
}

func TestDeriveInherits(t *testing.T) {
	t.Parallel()
	cause, p, a := typical(t)
	want := event.Envelope{
		ID: event.DeriveID("ledger", cause.ID, 0), Type: event.TypeInventoryUpdated, AggregateType: "INVENTORY_POSITION",
		AggregateID: "UK-WH/85123A", TenantID: cause.TenantID, Timestamp: cause.Timestamp, Version: "2.0",
		Metadata: event.Metadata{
			Source: "ledger", UserID: "till-7", CorrelationID: "sale-541431", CausationID: cause.ID.String(),
			Traceparent: cause.Metadata.Traceparent, Sequence: 42,
		},
	}
	if a.Envelope != want {
		t.Errorf("got  %+v\nwant %+v", a.Envelope, want)
	}
	again, err := event.Derive("ledger", cause, 0, "UK-WH/85123A", 42, p)
	if err != nil || !bytes.Equal(again.Body, a.Body) {
		t.Errorf("the same again is %s, %v", again.Body, err)
	}
	cause.Metadata.CorrelationID = ""
	first, err := event.Derive("ledger", cause, 0, "UK-WH/85123A", 42, p)
	if err != nil || first.Metadata.CorrelationID != cause.ID.String() {
		t.Errorf("an event that begins a correlation passes on %q, %v", first.Metadata.CorrelationID, err)
	}
}
