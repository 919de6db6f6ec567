package failures_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
)

func records(p *storetest.Env, letters ...failures.DeadLetter) {
	p.Helper()
	storetest.Must(p, p.InTx(p.Context(), func(tx store.Tx) error { return failures.RecordDeadLetters(p.Context(), tx, letters) }))
}

func TestDeadLettersAreRecordedOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	died := time.Date(2011, 8, 1, 12, 0, 0, 0, time.UTC)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	event := uuid.New()
	known := failures.DeadLetter{
		ID: uuid.New(), Consumer: "ledger", EventID: uuid.NullUUID{UUID: event, Valid: true}, MessageID: "m1", Type: "SALE_COMPLETED", RoutingKey: "k",
		Error: `said "no", {it} did`, Attempt: 3, Headers: []byte(`{"x-attempt":3,"deep":[{"a":"\\"}]}`), Body: every, DiedAt: died,
	}
	unknown := failures.DeadLetter{ID: uuid.New(), DiedAt: died.Add(time.Second)} // no field is known
	records(p, known, unknown)
	changed := known
	changed.Error, changed.Body = "another", nil
	records(p, changed, unknown, known)
	records(p)
	list := storetest.DeadLetters(t, p.DB)
	if len(list) != 2 || list[0].ID != unknown.ID || list[1].ID != known.ID {
		t.Fatalf("the log has %+v", list)
	}
	got := list[1]
	if !bytes.Equal(got.Body, every) || got.EventID != known.EventID || got.Error != known.Error || got.Attempt != 3 || !got.DiedAt.Equal(died) {
		t.Errorf("the log has %+v of %+v", got, known)
	}
	var want, have any
	storetest.Must(t, json.Unmarshal(known.Headers, &want))
	storetest.Must(t, json.Unmarshal(got.Headers, &have))
	if a, b := mustJSON(t, want), mustJSON(t, have); a != b {
		t.Errorf("headers are %s, want %s", b, a)
	}
	if list[0].EventID.Valid || len(list[0].Body) != 0 {
		t.Errorf("of nothing it has %+v", list[0])
	}
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	storetest.Must(t, err)
	return string(text)
}

// A message of an external publisher may hold in its properties what no column can hold. Such a letter must not stop
// the dead-letter log.
func TestDeadLettersOfExternalPublishers(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	awkward := "\x00 \xff\xfe ok ☃"
	headers, err := json.Marshal(map[string]string{awkward: awkward, "literal": `\u0000`})
	storetest.Must(t, err)
	letter := failures.DeadLetter{
		ID: uuid.New(), Consumer: awkward, MessageID: awkward, Type: awkward, RoutingKey: awkward, Error: awkward, Headers: headers, Body: []byte(awkward), DiedAt: time.Now(),
	}
	records(p, letter)
	list := storetest.DeadLetters(t, p.DB)
	if len(list) != 1 || string(list[0].Body) != awkward || list[0].MessageID != "\uFFFD \uFFFD ok ☃" {
		t.Errorf("the log has %+v", list)
	}
}

// Deaths count for a message that was in hand alone, until it is cleared.
func TestSuspectsAreCountedUntilCleared(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ctx := t.Context()
	note := func(consumer string, size int, messages ...string) int {
		t.Helper()
		deaths, err := failures.NoteSuspects(ctx, p.DB, consumer, messages, size)
		storetest.Must(t, err)
		return deaths
	}
	sizes := func(messages ...string) map[string]int {
		t.Helper()
		sizes, err := failures.SuspectBatches(ctx, p.DB, "ledger", messages)
		storetest.Must(t, err)
		return sizes
	}
	for _, message := range []string{"m", "\x00\xff", ""} {
		for want := range 4 {
			if deaths := note("ledger", 1, message); deaths != want {
				t.Errorf("%q was noted from %d tries, want %d", message, deaths, want)
			}
		}
		if deaths := note("intake", 1, message); deaths != 0 {
			t.Errorf("another's %q was noted from %d tries", message, deaths)
		}
		for range 2 {
			storetest.Must(t, failures.ClearSuspects(ctx, p.DB, "ledger", []string{message}))
		}
		if deaths := note("ledger", 1, message); deaths != 0 {
			t.Errorf("after it was cleared %q was noted from %d tries", message, deaths)
		}
	}
	for range 3 {
		if deaths := note("ledger", 3, "a", "b", "a"); deaths != 0 {
			t.Errorf("a batch counts %d deaths", deaths)
		}
	}
	if got := sizes("a", "b", "m", "c"); len(got) != 3 || got["a"] != 3 || got["b"] != 3 || got["m"] != 1 {
		t.Errorf("sizes are %v", got)
	}
	if first, second := note("ledger", 1, "a"), note("ledger", 1, "a"); first != 0 || second != 1 || sizes("a")["a"] != 1 {
		t.Errorf("after its batch a message alone was noted from %d and %d tries, of size %d", first, second, sizes("a")["a"])
	}
}

// Progress of redrives counts the letters that went back since a time, and those that are pending again; letters that
// name no tenant can be chosen alone.
func TestRedrivesSince(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	letter := func(consumer, body string) failures.DeadLetter {
		return failures.DeadLetter{ID: uuid.New(), Consumer: consumer, DiedAt: storetest.Morning, Body: []byte(body)}
	}
	const acme = `{"tenantId":"acme"}`
	back, again, left := letter("ledger", acme), letter("ledger", acme), letter("ledger", acme)
	records(p, back, again, left, letter("lots", acme), letter("ledger", `{"tenantId":"zenith"}`), letter("ledger", "unread"))
	since := storetest.MustGet(store.ServerTime(t.Context(), p.DB))(t)
	storetest.Must(t, failures.MarkDeadLetters(t.Context(), p.DB, failures.Redriven, []uuid.UUID{back.ID, again.ID}))
	// As a walk that finds it in the queue again.
	p.Exec(`UPDATE dead_letter SET redriven_at = NULL WHERE id = $1`, again.ID)
	of := failures.LetterFilter{Tenant: "acme"}
	found := storetest.MustGet(failures.RedrivesSince(t.Context(), p.DB, of, since))(t)
	if len(found) != 1 || found[0].Consumer != "ledger" || found[0].SentBack != 1 || found[0].Again != 1 || found[0].Pending != 2 || found[0].Last.Before(since) {
		t.Errorf("the redrive has come to %+v", found)
	}
	if later := storetest.MustGet(failures.RedrivesSince(t.Context(), p.DB, of, since.Add(time.Hour)))(t); len(later) != 0 {
		t.Errorf("since an hour later: %+v", later)
	}
	groups := storetest.MustGet(failures.LetterGroups(t.Context(), p.DB, failures.LetterFilter{NoTenant: true}, 0))(t)
	if len(groups) != 1 || groups[0].Count != 1 {
		t.Errorf("letters of no tenant: %+v", groups)
	}
}
