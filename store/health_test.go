package store_test

import (
	"testing"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

func TestInspectServer(t *testing.T) {
	t.Parallel()
	s, err := store.InspectServer(t.Context(), storetest.Open(t, emptyDatabase(t), 1))
	if err != nil {
		t.Fatal(err)
	}
	if s.Version == "" || time.Since(s.Now).Abs() > time.Minute || s.Connections < 1 || s.MaxConnections < s.Connections || s.Standby {
		t.Errorf("the server says %+v", s)
	}
}

func TestSchemaVersion(t *testing.T) {
	t.Parallel()
	at := storetest.URL(t)
	db := storetest.Open(t, at, 1)
	list, err := store.Migrations(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := store.SchemaVersion(t.Context(), db); err != nil || v != list[len(list)-1].Version {
		t.Errorf("the schema has version %d, %v", v, err)
	}
	_, err = store.SchemaVersion(t.Context(), storetest.Open(t, emptyDatabase(t), 1))
	storetest.IsError(t, err, store.ErrSchema)
}

func TestReadHealth(t *testing.T) {
	t.Parallel()
	at := storetest.URL(t)
	db := storetest.Open(t, at, 1)
	look := func() eventlog.Health {
		t.Helper()
		w, err := eventlog.ReadHealth(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := look(); w != (eventlog.Health{Place: "0 0 0", Confirmed: w.Confirmed}) || w.Confirmed.Seq != 0 || w.Confirmed.Snapshot == "" {
		t.Errorf("the health of an empty database is %+v", w)
	}
	if _, err := store.AcquireLease(t.Context(), db, "relay", "me"); err != nil {
		t.Fatal(err)
	}
	storetest.Exec(t, at, `INSERT INTO set_aside (seq, event_id, reason) VALUES (999, gen_random_uuid(), 'too large')`)
	storetest.Exec(t, at, `INSERT INTO suspect (consumer, message_id, deaths) VALUES ('ledger', 'm', 1)`)
	storetest.Exec(t, at, `INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq, made_at) VALUES (1, 1, pg_current_snapshot(), 0, 0, now() - interval '1 hour')`)
	storetest.Exec(t, at, `INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
		VALUES (1, true, now(), gen_random_uuid(), 't', 'SALE_COMPLETED', '1.0', 'a', '', '{}')`)
	storetest.Exec(t, at, `INSERT INTO log_cursor (consumer, tick, upto, seq, term) VALUES ('relay', 0, 1, 0, 1)`)
	w := look()
	if w.End != 1 || w.Tick != 1 || w.Covered != 0 || w.Passed != 0 || w.Place != "0 1 0" {
		t.Errorf("of the ticks and the relay's place it says %+v", w)
	}
	if w.RelayHolder != "me" || w.TickerHolder != "" || w.Unpublishable != 1 || w.Suspects != 1 || w.Unpublished != 1 || w.Behind < time.Hour || w.Behind > 2*time.Hour {
		t.Errorf("it says %+v", w)
	}
	storetest.Exec(t, at, `UPDATE lease SET expires_at = now() - interval '1 second'`)
	if w := look(); w.RelayHolder != "" {
		t.Errorf("of a lease that has run out it says %+v", w)
	}
}
