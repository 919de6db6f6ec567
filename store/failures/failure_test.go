package failures_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
)

// recordFailure records that an event has failed with an error, and returns its class when that is quarantined.
func recordFailure(p *storetest.Env, event uuid.UUID, text string, change ...func(f *failures.Failure)) string {
	p.Helper()
	f := failures.Failure{
		Try: uuid.New(), Consumer: "ledger", EventID: uuid.NullUUID{UUID: event, Valid: true}, MessageID: event.String(), Type: "SALE_COMPLETED",
		Version: "1.0", Attempt: 1, Error: text, Outcome: failures.OutcomeRetried, Counts: true,
	}
	for _, c := range change {
		c(&f)
	}
	class, err := failures.RecordFailure(p.Context(), p.DB, f, failures.QuarantinePolicy{After: 3, Within: time.Hour})
	storetest.Must(p, err)
	return class
}

func TestAClassIsFullAfterDistinctEvents(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	other := map[string]func(f *failures.Failure){
		"worker":  func(f *failures.Failure) { f.Consumer = "lots" },
		"type":    func(f *failures.Failure) { f.Type = "STOCK_COUNTED" },
		"version": func(f *failures.Failure) { f.Version = "2.0" },
		"error":   func(f *failures.Failure) { f.Error = "another thing" },
		"dependency": func(f *failures.Failure) {
			f.Counts, f.Dependency, f.Outcome = false, endpoint, failures.OutcomeDeferred
		},
	}
	one, two := uuid.New(), uuid.New()
	for range 4 { // the same two again and again, and others unlike them
		for i, event := range []uuid.UUID{one, two} {
			if class := recordFailure(p, event, fmt.Sprintf("no item %d", i)); class != "" {
				t.Fatal("two events have filled a class of three")
			}
		}
	}
	for name, change := range other {
		if class := recordFailure(p, uuid.New(), "no item 3", change); class != "" {
			t.Errorf("another %s has filled the class", name)
		}
	}
	class := recordFailure(p, uuid.New(), "no item 4")
	if class == "" || recordFailure(p, one, "no item 5") != class || recordFailure(p, uuid.New(), "no item 6") != class {
		t.Fatalf("want the class %q full at the third event and from then on", class)
	}
	for name, change := range other {
		if recordFailure(p, uuid.New(), "no item 7", change) != "" {
			t.Errorf("another %s is held back with it", name)
		}
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM failure WHERE outcome = 'quarantined' AND class = $1`, class); n != 3 {
		t.Errorf("want three held back, got %d", n)
	}
	if n, err := failures.QuarantinedClasses(t.Context(), p.DB); n != 1 || err != nil {
		t.Errorf("want one class, got %d, %v", n, err)
	}
}

// Failures of long ago, or from before a release, do not count.
func TestEarlierFailuresDoNotCount(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	recordFailure(p, uuid.New(), "no")
	recordFailure(p, uuid.New(), "no")
	p.Exec(`UPDATE failure SET failed_at = failed_at - interval '61 minutes'`)
	for range 2 {
		if recordFailure(p, uuid.New(), "no") != "" {
			t.Fatal("what failed before the window fills the class")
		}
	}
	class := recordFailure(p, uuid.New(), "no")
	if class == "" {
		t.Fatal("the class is not full")
	}
	// It is released with its entry in the operator log, or not at all.
	ann := operatorlog.By{Operator: "ann", Reason: "corrected"}
	p.Exec(`ALTER TABLE operator_log ADD CONSTRAINT refused CHECK (action <> 'quarantine release')`)
	if _, err := failures.ReleaseQuarantine(t.Context(), p.DB, ann, class); err == nil || storetest.MustGet(failures.QuarantinedClasses(t.Context(), p.DB))(t) != 1 {
		t.Errorf("it is released without an entry: %v", err)
	}
	p.Exec(`ALTER TABLE operator_log DROP CONSTRAINT refused`)
	released, err := failures.ReleaseQuarantine(t.Context(), p.DB, ann, class)
	storetest.Must(t, err)
	if entries := storetest.MustGet(operatorlog.List(t.Context(), p.DB, operatorlog.Query{}))(t); len(entries) != 1 || entries[0].Subject != class || entries[0].Reason != "corrected" {
		t.Errorf("the operator log has %+v", entries)
	}
	if released.ReleasedAt == nil || released.Class != class || released.Sample != "no" {
		t.Errorf("it is released as %+v", released)
	}
	_, err = failures.ReleaseQuarantine(t.Context(), p.DB, ann, class)
	storetest.IsError(t, err, failures.ErrReleased)
	_, err = failures.ReleaseQuarantine(t.Context(), p.DB, ann, "unknown")
	storetest.IsError(t, err, store.ErrNotFound)
	for range 2 {
		if recordFailure(p, uuid.New(), "no") != "" {
			t.Fatal("what failed before the release fills the class")
		}
	}
	if recordFailure(p, uuid.New(), "no") != class {
		t.Fatal("it is not quarantined a second time")
	}
	list, err := failures.Quarantined(t.Context(), p.DB, true)
	storetest.Must(t, err)
	if len(list) != 1 || list[0].ReleasedAt != nil || !list[0].Since.After(*released.ReleasedAt) {
		t.Errorf("want it open again, got %+v", list)
	}
}

// The dead letters of a class are counted since it was quarantined.
func TestAQuarantineCountsItsDeadLetters(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	die := func(header string) {
		storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error {
			return failures.RecordDeadLetters(t.Context(), tx, []failures.DeadLetter{{ID: uuid.New(), Error: "no item 7", Headers: []byte(header)}})
		}))
	}
	class := ""
	for range 3 {
		class = recordFailure(p, uuid.New(), "no item 7")
		die(`{"x-quarantine": "` + class + `"}`) // of the first two "", and before its time
	}
	die(`{"x-quarantine": "` + class + `"}`)
	die(`{"x-quarantine": "another"}`)
	die(`{}`)
	list, err := failures.Quarantined(t.Context(), p.DB, false)
	storetest.Must(t, err)
	if len(list) != 1 || list[0].HeldBack != 2 {
		t.Errorf("want two held back, got %+v", list)
	}
	storetest.MustGet(failures.ReleaseQuarantine(t.Context(), p.DB, operatorlog.By{Operator: "ann"}, class))(t)
	for range 3 {
		recordFailure(p, uuid.New(), "no item 7")
	}
	die(`{"x-quarantine": "` + class + `"}`)
	if list, err = failures.Quarantined(t.Context(), p.DB, false); err != nil || len(list) != 1 || list[0].HeldBack != 1 {
		t.Errorf("want one held back since it was quarantined anew, got %+v, %v", list, err)
	}
	for _, l := range storetest.DeadLetters(t, p.DB) {
		if l.Fingerprint != failures.Fingerprint("no item 8") {
			t.Errorf("a dead letter has the fingerprint %q", l.Fingerprint)
		}
	}
}

// The log keeps young failures, of those the newest, and forgets unused dependencies.
func TestTheFailureLogIsBounded(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	p.Exec(`INSERT INTO failure (try_id, consumer, message_id, type, version, attempt, error, fingerprint, class, dependency, outcome, failed_at)
		SELECT gen_random_uuid(), 'ledger', i, 'T', '1.0', 1, 'no', '', '', '', 'dead', clock_timestamp() - interval '31 days' * CAST(i <= 12000 AS int)
		FROM generate_series(1, 13000) i`)
	p.Exec(`INSERT INTO quarantine (class, consumer, type, version, fingerprint, sample, released_at) VALUES
		('open', '', '', '', '', '', NULL), ('young', '', '', '', '', '', clock_timestamp()), ('old', '', '', '', '', '', clock_timestamp() - interval '31 days')`)
	p.Exec(`INSERT INTO dependency (name, opens_at, last_error) VALUES ('asked', clock_timestamp() - interval '1 hour', ''), ('forgotten', clock_timestamp() - interval '25 hours', '')`)
	storetest.Must(t, failures.ThinFailures(t.Context(), p.DB, failures.FailureLife, failures.MostFailures))
	left := func() int { return storetest.One[int](t, p.SQL(), `SELECT count(*) FROM failure`) }
	if n := left(); n != 1000 {
		t.Errorf("want the young ones kept, got %d", n)
	}
	storetest.Must(t, failures.ThinFailures(t.Context(), p.DB, failures.FailureLife, 300))
	if n, oldest := left(), storetest.One[int](t, p.SQL(), `SELECT min(message_id::int) FROM failure`); n != 300 || oldest != 12701 {
		t.Errorf("want the newest kept, got %d from %d on", n, oldest)
	}
	if classes := storetest.One[string](t, p.SQL(), `SELECT string_agg(class, ' ' ORDER BY class) FROM quarantine`); classes != "open young" {
		t.Errorf("the classes %s are left", classes)
	}
	if circuits := storetest.One[string](t, p.SQL(), `SELECT string_agg(name, ' ') FROM dependency`); circuits != "asked" {
		t.Errorf("the circuits %s are left", circuits)
	}
}
