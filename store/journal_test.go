package store_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
)

func (p *place) records(letters ...store.DeadLetter) {
	p.Helper()
	must(p, p.InTx(p.Context(), func(tx store.Tx) error { return tx.RecordDeadLetters(p.Context(), letters) }))
}

func TestDeadLettersAreRecordedOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	died := time.Date(2011, 8, 1, 12, 0, 0, 0, time.UTC)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	event := uuid.New()
	known := store.DeadLetter{
		ID: uuid.New(), Consumer: "ledger", EventID: uuid.NullUUID{UUID: event, Valid: true}, MessageID: "m1", Type: "SALE_COMPLETED", RoutingKey: "k",
		Error: `said "no", {it} did`, Attempt: 3, Headers: []byte(`{"x-attempt":3,"deep":[{"a":"\\"}]}`), Body: every, DiedAt: died,
	}
	unknown := store.DeadLetter{ID: uuid.New(), DiedAt: died.Add(time.Second)} // nothing is known of it
	p.records(known, unknown)
	changed := known
	changed.Error, changed.Body = "another", nil
	p.records(changed, unknown, known)
	p.records()
	list, err := p.DeadLetters(t.Context(), 10)
	must(t, err)
	if len(list) != 2 || list[0].ID != unknown.ID || list[1].ID != known.ID {
		t.Fatalf("the journal has %+v", list)
	}
	got := list[1]
	if !bytes.Equal(got.Body, every) || got.EventID != known.EventID || got.Error != known.Error || got.Attempt != 3 || !got.DiedAt.Equal(died) {
		t.Errorf("the journal has %+v of %+v", got, known)
	}
	var want, have any
	must(t, json.Unmarshal(known.Headers, &want))
	must(t, json.Unmarshal(got.Headers, &have))
	if a, b := mustJSON(t, want), mustJSON(t, have); a != b {
		t.Errorf("headers are %s, want %s", b, a)
	}
	if list[0].EventID.Valid || len(list[0].Body) != 0 {
		t.Errorf("of nothing it has %+v", list[0])
	}
	if list, err := p.DeadLetters(t.Context(), 1); err != nil || len(list) != 1 {
		t.Errorf("the newest alone: %v, %v", list, err)
	}
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return string(text)
}

// A stranger's message may say in its properties what no column can hold. One
// such letter must not stop the journal.
func TestDeadLettersOfStrangers(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	awkward := "\x00 \xff\xfe ok ☃"
	headers, err := json.Marshal(map[string]string{awkward: awkward, "literal": `\u0000`})
	must(t, err)
	letter := store.DeadLetter{
		ID: uuid.New(), Consumer: awkward, MessageID: awkward, Type: awkward, RoutingKey: awkward, Error: awkward, Headers: headers, Body: []byte(awkward), DiedAt: time.Now(),
	}
	p.records(letter)
	list, err := p.DeadLetters(t.Context(), 10)
	must(t, err)
	if len(list) != 1 || string(list[0].Body) != awkward || list[0].MessageID != "\uFFFD \uFFFD ok ☃" {
		t.Errorf("the journal has %+v", list)
	}
}

func TestSuspectsAreCountedUntilCleared(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	for _, message := range []string{"m", "\x00\xff", ""} {
		for want := range 4 {
			deaths, err := p.NoteSuspect(t.Context(), "ledger", message)
			must(t, err)
			if deaths != want {
				t.Errorf("%q was noted from %d tries, want %d", message, deaths, want)
			}
		}
		if deaths, err := p.NoteSuspect(t.Context(), "intake", message); err != nil || deaths != 0 {
			t.Errorf("another's %q was noted from %d tries, %v", message, deaths, err)
		}
		for range 2 {
			must(t, p.ClearSuspect(t.Context(), "ledger", message))
		}
		if deaths, err := p.NoteSuspect(t.Context(), "ledger", message); err != nil || deaths != 0 {
			t.Errorf("after it was cleared %q was noted from %d tries, %v", message, deaths, err)
		}
	}
}
