package cli_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/store/storetest"
)

// watchLeaders has the database keep every tick and every move of the cursor in
// the order in which they were committed, though ticks are thinned out.
const watchLeaders = `
CREATE TABLE watched_cursor (n bigint GENERATED ALWAYS AS IDENTITY, term bigint, tick bigint, upto bigint, seq bigint);
CREATE TABLE watched_tick (id bigint, snapshot pg_snapshot, seq_before bigint, max_seq bigint);
CREATE FUNCTION watch_cursor() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO watched_cursor (term, tick, upto, seq) VALUES (NEW.term, NEW.tick, NEW.upto, NEW.seq); RETURN NEW; END$$;
CREATE FUNCTION watch_tick() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO watched_tick VALUES (NEW.id, NEW.snapshot, NEW.seq_before, NEW.max_seq); RETURN NEW; END$$;
CREATE TRIGGER watch AFTER INSERT OR UPDATE ON log_cursor FOR EACH ROW EXECUTE FUNCTION watch_cursor();
CREATE TRIGGER watch AFTER INSERT ON tick FOR EACH ROW EXECUTE FUNCTION watch_tick();`

// backwards counts what must never be: a cursor that an earlier term moved after a
// later one, or that went back, and a tick that knows less than the one before it.
var backwards = map[string]string{
	"moves of the cursor by an earlier term": `SELECT count(*) FROM (SELECT term, lag(term) OVER w AS before FROM watched_cursor WINDOW w AS (ORDER BY n)) c WHERE term < before`,
	"moves of the cursor to an earlier place": `
SELECT count(*) FROM (SELECT (tick, seq) AS at, lag((tick, seq)) OVER w AS before FROM watched_cursor WINDOW w AS (ORDER BY n)) c WHERE at < before`,
	"ticks that know less than the one before": `
SELECT count(*) FROM (SELECT *, lag(snapshot) OVER w AS snapshot_before, lag(seq_before) OVER w AS seq_before_before, lag(max_seq) OVER w AS max_before
    FROM watched_tick WINDOW w AS (ORDER BY id)) t
WHERE pg_snapshot_xmax(snapshot) < pg_snapshot_xmax(snapshot_before) OR pg_snapshot_xmin(snapshot) < pg_snapshot_xmin(snapshot_before)
   OR seq_before < seq_before_before OR max_seq < max_before`,
}

// Two fleets: the one that leads is stopped in the middle of a step, for
// longer than its lease and its transaction live, and wakes up when the other leads.
func TestPausedLeaderWakesUpLate(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	storetest.Exec(t, s.database, watchLeaders)
	pauses := []struct{ order, says string }{
		{"relay.confirmed:2:stop", "relay does not lead for now"},
		{"tick.due:2:stop", "ticker does not lead for now"},
		{"relay.publishing:3:stop", "relay does not lead for now"},
		{"tick.committed::stop", "ticker does not lead for now"},
		{"worker.claimed::stop", ""}, // whose transaction the server ends: no lease is at stake
	}
	if testing.Short() {
		pauses = pauses[:2]
	}
	for _, p := range pauses {
		s.pause(p.order, p.says)
	}
	for what, query := range backwards {
		if n := storetest.Value[int](t, s.database, query); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	f := s.up()
	s.prove()
	f.stop(t)
}

// pause has a leader stop as ordered, another take over, and the first wake up and say so.
func (s *street) pause(order, says string) {
	s.Helper()
	old := s.armed([]string{"COMPOSERP_FAILPOINT=" + order, "COMPOSERP_LOG_LEVEL=info"}, "up", "--dir", s.TempDir())
	var last time.Time
	s.until("the fleet stops at "+order, func() bool {
		if time.Since(last) > time.Second {
			s.round()
			last = time.Now()
		}
		return old.stopped(s.T)
	})
	term := s.terms()
	young := s.up("--dir", s.TempDir())
	s.round()
	s.until("another leads", func() bool {
		now := s.terms()
		return now.Relay > term.Relay && now.Ticker > term.Ticker && now.Cursor > term.Cursor
	})
	s.until("what the stopped one has begun has ended", func() bool {
		return storetest.Value[int](s, s.database, `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '1 second'`) == 0
	})
	if err := old.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		s.Fatal(err)
	}
	s.until("it wakes up", func() bool { return !old.stopped(s.T) })
	s.round()
	s.settle()
	s.until(fmt.Sprintf("the one that woke up at %s says %q", order, says), func() bool { return strings.Contains(old.log.String(), says) })
	if err := old.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		s.Fatalf("the one that woke up at %s has ended: %v\n%s", order, err, old.log)
	}
	old.kill(s.T)
	s.end(young)
}

// terms are those of the leases, and of the cursor.
func (s *street) terms() (t struct{ Relay, Ticker, Cursor int }) {
	s.Helper()
	t.Relay = storetest.Value[int](s, s.database, `SELECT coalesce(max(term), 0) FROM lease WHERE name = 'relay'`)
	t.Ticker = storetest.Value[int](s, s.database, `SELECT coalesce(max(term), 0) FROM lease WHERE name = 'ticker'`)
	t.Cursor = storetest.Value[int](s, s.database, `SELECT coalesce(max(term), 0) FROM log_cursor`)
	return t
}

// stopped tells whether the process is stopped by a signal (proc(5)).
func (f *fleet) stopped(t *testing.T) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", f.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("the process is gone: %v\n%s", err, f.log)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "T")
}
