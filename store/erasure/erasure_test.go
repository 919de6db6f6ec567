package erasure_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/erasure"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/seal"
	"github.com/composerp/composerp/store/storetest"
)

var by = operatorlog.By{Operator: "ann", Reason: "GDPR 17, request 12"}

// sale is an event of a till that sends more than the schema asks for.
func sale(t *testing.T, customer string) event.Any {
	t.Helper()
	id := uuid.New()
	return storetest.MustGet(event.DecodeOutside([]byte(fmt.Sprintf(`{"eventId":%q,"eventType":"SALE_COMPLETED","aggregateType":"SALES_ORDER","aggregateId":"S1","tenantId":"shop",
"timestamp":"2026-02-09T12:00:00Z","version":"1.0","payload":{"saleId":"S1","itemId":"cup","locationId":"till","quantity":2.50,"amount":3,"itemName":"Cup of Ann",
"customerId":%q,"card":{"holder":"Ann","points":7},"people":[{"name":"Ann","id":1},{"id":2}],"timestamp":"2026-02-09T12:00:00Z"},"metadata":{"userId":"u1","source":"till"}}`, id, customer))))(t)
}

// env is a log of sales that the relay has passed, sealed.
type env struct {
	*storetest.Env
	sales []event.Any
}

func newEnv(t *testing.T, customers ...string) *env {
	t.Helper()
	e := &env{Env: storetest.NewEnv(t, 4)}
	for _, c := range customers {
		e.sales = append(e.sales, sale(t, c))
	}
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), e.DB, e.sales, false))(t)
	e.NewTicker().Tick()
	storetest.Eventually(t, "the log is sealed", func() bool {
		storetest.MustGet(seal.Seal(t.Context(), e.DB))(t)
		return storetest.MustGet(seal.Read(t.Context(), e.DB))(t).Unsealed == 0
	})
	return e
}

func (e *env) config(fields ...string) erasure.Config {
	return erasure.Config{DB: e.DB, Fields: fields, By: by, Now: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)}
}

func seqs(t *testing.T, e *env, n ...int) (found []int64) {
	t.Helper()
	for _, i := range n {
		at, missing, err := erasure.Positions(t.Context(), e.DB, []uuid.UUID{e.sales[i].ID})
		storetest.Must(t, err)
		if len(missing) > 0 {
			t.Fatal("an event is missing")
		}
		found = append(found, at...)
	}
	return found
}

func (e *env) body(t *testing.T, i int) string {
	t.Helper()
	return storetest.One[string](t, e.SQL(), `SELECT body FROM event_log WHERE event_id = $1`, e.sales[i].ID)
}

func (e *env) verify(t *testing.T, key ed25519.PublicKey) seal.Report {
	t.Helper()
	return storetest.MustGet(seal.Verify(t.Context(), e.DB, nil, key, nil, nil))(t)
}

// found are the kinds of a report's findings.
func found(r seal.Report) string {
	var kinds []string
	for _, f := range r.Findings {
		kinds = append(kinds, string(f.Kind))
	}
	return strings.Join(kinds, " ")
}

func TestAnErasedEventHasItsFiguresAndNothingElseOfThePerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields []string
		gone   []string
		had    string // what the event says was erased
	}{
		"own field":      {[]string{"payload.customerId"}, []string{"17850"}, "payload.customerId"},
		"user":           {[]string{"metadata.userId"}, []string{`"u1"`}, "metadata.userId"},
		"text":           {[]string{"payload.itemName"}, []string{"Cup of Ann"}, "payload.itemName"},
		"in an object":   {[]string{"payload.card.holder"}, []string{`"holder":`}, "payload.card.holder"},
		"of all items":   {[]string{"payload.people.name"}, []string{`"name"`}, "payload.people.name"},
		"two":            {[]string{"metadata.userId", "payload.card"}, []string{`"u1"`, "holder"}, "metadata.userId,payload.card"},
		"all that can":   {[]string{"*"}, []string{"Ann", "17850", `"u1"`}, "metadata.userId,payload.card,payload.customerId,payload.itemName,payload.people"},
		"twice the same": {[]string{"metadata.userId", "metadata.userId"}, []string{`"u1"`}, "metadata.userId"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, "17850", "2")
			at := seqs(t, e, 0)
			r := storetest.MustGet(e.config(c.fields...).Run(t.Context(), at))(t)
			if r.Erased != 1 || r.Refused != 0 {
				t.Fatalf("%+v", r)
			}
			body := e.body(t, 0)
			for _, text := range c.gone {
				if strings.Contains(body, text) {
					t.Errorf("%s is still in %s", text, body)
				}
			}
			if !strings.Contains(body, "2.50") {
				t.Errorf("a number was written anew: %s", body)
			}
			if e.body(t, 1) != string(e.sales[1].Body) {
				t.Error("another event was changed")
			}
			stand := storetest.MustGet(event.Decode([]byte(body)))(t)
			want, _ := e.sales[0].Payload.(event.SaleCompleted)
			got, _ := stand.Payload.(event.SaleCompleted)
			if want.ItemName = got.ItemName; fmt.Sprint(got) != fmt.Sprint(want) || stand.ID != e.sales[0].ID {
				t.Errorf("the event tells %+v, and told %+v", got, want)
			}
			var says struct{ Metadata struct{ Erased []string } }
			storetest.Must(t, json.Unmarshal([]byte(body), &says))
			if strings.Join(says.Metadata.Erased, ",") != c.had {
				t.Errorf("it says that %v were erased, want %s", says.Metadata.Erased, c.had)
			}
			if v := e.verify(t, nil); v.Found != 0 || v.Erased != 1 || v.Erasures[0].Reason != by.Reason {
				t.Errorf("verified: %+v", v)
			}
			// Repeated, it changes nothing.
			if r := storetest.MustGet(e.config(c.fields...).Run(t.Context(), at))(t); r.Erased != 0 || r.Without != 1 || e.body(t, 0) != body {
				t.Errorf("repeated: %+v", r)
			}
			if n := storetest.One[int](t, e.SQL(), `SELECT count(*) FROM erasure`); n != 1 {
				t.Errorf("%d erasures are noted", n)
			}
		})
	}
}

// A field that figures are made from is refused with its name, and with it everything.
func TestNothingIsErasedThatFiguresNeed(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "17850", "2")
	for _, field := range []string{"payload.quantity", "payload.saleId", "payload.timestamp", "metadata.source"} {
		r, err := e.config("payload.customerId", field).Run(t.Context(), seqs(t, e, 0, 1))
		if !errors.Is(err, erasure.ErrRefused) || r.Refused != 2 || !strings.Contains(r.Changes[0].Problem, field) {
			t.Errorf("%s: %v, %+v", field, err, r)
		}
	}
	for _, field := range []string{"payload", "tenantId", "payload..a", "metadata.erased", ""} {
		if _, err := e.config(field).Run(t.Context(), seqs(t, e, 0)); err == nil {
			t.Errorf("%q is taken for a field", field)
		}
	}
	noReason := e.config("payload.customerId")
	noReason.By.Reason = ""
	if _, err := noReason.Run(t.Context(), seqs(t, e, 0)); !errors.Is(err, erasure.ErrReason) {
		t.Errorf("without a reason: %v", err)
	}
	if plan := storetest.MustGet(e.config("payload.customerId").Plan(t.Context(), seqs(t, e, 0, 1)))(t); plan.Erased != 2 {
		t.Errorf("the plan: %+v", plan)
	}
	for i := range e.sales {
		if e.body(t, i) != string(e.sales[i].Body) {
			t.Errorf("event %d was changed", i)
		}
	}
}

// The original comes again, from a till or from a backup of the broker: it is known, and does not come back.
func TestTheOriginalDoesNotComeBack(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "17850")
	at := seqs(t, e, 0)
	storetest.MustGet(e.config("payload.customerId").Run(t.Context(), at))(t)
	if a := storetest.MustGet(eventlog.AdmitOnce(t.Context(), e.DB, e.sales, true))(t); a[0] != eventlog.Duplicate {
		t.Errorf("the original is %s", a[0])
	}
	if strings.Contains(e.body(t, 0), "17850") {
		t.Error("it is back in the log")
	}
	// A replay publishes the stand-in: it is the log's.
	claims := []eventlog.Claim{{Seq: at[0], Body: []byte(e.body(t, 0))}, {Seq: at[0], Body: e.sales[0].Body}, {Seq: at[0], Body: []byte(`{}`)}}
	if held := storetest.MustGet(eventlog.Contains(t.Context(), e.DB, claims))(t); !slices.Equal(held, []bool{true, true, false}) {
		t.Errorf("of stand-in, original and another body the log has %v", held)
	}
}

func TestAnOpenDeliveryIsRefused(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "17850")
	at := seqs(t, e, 0)
	e.Consumer("ledger")
	e.Exec(`UPDATE subscription SET from_tick = 0`)
	dead := func(state string) {
		e.Exec(`DELETE FROM dead_letter`)
		e.Exec(`INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at, fingerprint, discarded_at)
			SELECT gen_random_uuid(), 'ledger', event_id, 'm', type, 'k', 'no', 1, '{}', convert_to(body, 'UTF8'), now(), 'f', ` + state + ` FROM event_log`)
	}
	refused := func(what string) {
		r, err := e.config("payload.customerId").Run(t.Context(), at)
		if !errors.Is(err, erasure.ErrRefused) || len(r.Changes) != 1 || !strings.Contains(r.Changes[0].Problem, "ledger has still to handle it") {
			t.Errorf("%s: %v, %+v", what, err, r)
		}
	}
	refused("one that waits")
	dead("NULL")
	refused("one that is dead")
	dead("now()")
	r := storetest.MustGet(e.config("payload.customerId").Run(t.Context(), at))(t)
	if letter := storetest.One[string](t, e.SQL(), `SELECT convert_from(body, 'UTF8') FROM dead_letter`); r.DeadLetters != 1 || strings.Contains(letter, "17850") {
		t.Errorf("the discarded dead letter has %s; %+v", letter, r)
	}
}

func TestARunningReplayIsInTheWay(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "17850")
	at := seqs(t, e, 0)
	e.Exec(`INSERT INTO replay (operator, reason, target, name, filter, again, rate, epoch, snapshot, first_seq, last_seq, at_seq)
		VALUES ('ann', '', 'exchange', 'shop', '{}', false, 0, 1, pg_current_snapshot(), 0, 10, 5)`)
	if r, err := e.config("payload.customerId").Run(t.Context(), at); !errors.Is(err, erasure.ErrReplay) || r.Erased != 0 {
		t.Errorf("beside a replay: %v, %+v", err, r)
	}
	e.Exec(`UPDATE replay SET moved_at = moved_at - interval '31 seconds'`) // its process was killed
	if r := storetest.MustGet(e.config("payload.customerId").Run(t.Context(), at))(t); r.Erased != 1 {
		t.Errorf("after it: %+v", r)
	}
}

// Whatever a person does who may write every table: the key finds it.
func TestAnEditIsNotTakenForAnErasure(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	storetest.Must(t, err)
	const edit = `UPDATE event_log SET body = replace(body, '2.50', '9.50') WHERE seq = 1`
	const forge = `INSERT INTO erasure (seq, event_id, type, tenant_id, body_sha256, stand_in_sha256, fields, erased_at, operator, reason, signature)
		SELECT seq, event_id, type, tenant_id, body_sha256, sha256(convert_to(body, 'UTF8')), '{payload.customerId}', now(), 'ann', 'GDPR', %s FROM event_log WHERE seq = 1`
	const entry = `INSERT INTO operator_log (operator, action, subject, reason) SELECT 'ann', 'events erase', event_id::text, 'GDPR' FROM event_log WHERE seq = 1`
	forged := func(signature string) string { return fmt.Sprintf(forge, signature) }
	for name, c := range map[string]struct {
		erase         bool // before
		changes       []string
		keyless, held string // the findings
	}{
		"nothing":                     {true, nil, "", ""},
		"edited":                      {false, []string{edit}, "edited", "edited"},
		"edited after the erasure":    {true, []string{edit}, "edited", "edited"},
		"a forged erasure":            {false, []string{edit, forged(`''`)}, "erasure", "erasure"},
		"with an entry":               {false, []string{edit, forged(`''`), entry}, "", "erasure"},
		"after the erasure":           {true, []string{edit, forged(`''`), entry}, "", "erasure"},
		"with another's signature":    {true, []string{edit, forged(`(SELECT signature FROM erasure)`), entry}, "", "erasure"},
		"the row removed":             {true, []string{`DELETE FROM erasure`}, "edited", "edited"},
		"the reason changed":          {true, []string{`UPDATE erasure SET reason = 'GDPR'`, entry}, "", "erasure"},
		"the original brought back":   {true, []string{`UPDATE event_log SET body = (SELECT body FROM kept) WHERE seq = 1`}, "erasure", "erasure"},
		"the row of another event":    {true, []string{`UPDATE erasure SET event_id = gen_random_uuid()`}, "erasure edited", "erasure edited"},
		"the row of another position": {true, []string{`UPDATE erasure SET seq = 2`}, "edited erasure", "edited erasure"},
		"the event removed":           {true, []string{`DELETE FROM event_log WHERE seq = 1`}, "removed erasure", "removed erasure"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, "17850", "2")
			e.Exec(`CREATE TABLE kept AS SELECT body FROM event_log WHERE seq = 1`)
			if c.erase {
				cfg := e.config("payload.customerId")
				cfg.Key = private
				storetest.MustGet(cfg.Run(t.Context(), []int64{1}))(t)
			}
			for _, change := range c.changes {
				e.Exec(change)
			}
			if got := found(e.verify(t, nil)); got != c.keyless {
				t.Errorf("without the key: %q, want %q", got, c.keyless)
			}
			if got := found(e.verify(t, public)); got != c.held {
				t.Errorf("with the key: %q, want %q", got, c.held)
			}
			// What was edited is not erased over.
			if strings.HasPrefix(c.held, "edited") {
				if _, err := e.config("payload.card").Run(t.Context(), []int64{1}); !errors.Is(err, erasure.ErrRefused) {
					t.Errorf("an edited event is erased: %v", err)
				}
			}
		})
	}
}

// An erasure that no key signed is signed by the same command with the key.
func TestAnErasureIsSignedLater(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	storetest.Must(t, err)
	e := newEnv(t, "17850")
	cfg := e.config("payload.customerId")
	storetest.MustGet(cfg.Run(t.Context(), []int64{1}))(t)
	if got := found(e.verify(t, public)); got != "erasure" {
		t.Fatalf("unsigned: %q", got)
	}
	cfg.Key = private
	if r := storetest.MustGet(cfg.Run(t.Context(), []int64{1}))(t); r.Signed != 1 || r.Erased != 0 {
		t.Errorf("%+v", r)
	}
	cfg.Fields = []string{"payload.card"}
	if r := storetest.MustGet(cfg.Run(t.Context(), []int64{1}))(t); r.Erased != 1 {
		t.Errorf("%+v", r)
	}
	if v := e.verify(t, public); v.Found != 0 || len(v.Erasures) != 1 || strings.Join(v.Erasures[0].Fields, ",") != "payload.card,payload.customerId" {
		t.Errorf("%+v", v)
	}
}

func TestDerivedEventsAreFound(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "17850", "2")
	cause := e.sales[0]
	derived := storetest.MustGet(event.Derive("ledger", cause.Envelope, 0, "till/cup", 1, event.InventoryLowStock{ItemID: "cup", LocationID: "till"}))(t)
	further := storetest.MustGet(event.Derive("alert", derived.Envelope, 0, "till/cup", 2, event.InventoryLowStock{ItemID: "cup", LocationID: "till"}))(t)
	storetest.Must(t, e.DB.InTx(t.Context(), func(tx store.Tx) error {
		return eventlog.Append(context.WithoutCancel(t.Context()), tx, []event.Any{derived, further})
	}))
	got := storetest.MustGet(erasure.Derived(t.Context(), e.DB, seqs(t, e, 0)))(t)
	if len(got) != 2 {
		t.Errorf("%d events follow from it, want 2", len(got))
	}
	if got := storetest.MustGet(erasure.Derived(t.Context(), e.DB, seqs(t, e, 1)))(t); len(got) != 0 {
		t.Errorf("%v follow from the other", got)
	}
}
