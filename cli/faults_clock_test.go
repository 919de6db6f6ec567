package cli_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

// What forecasting has said, and when by the business's calendar.
const forecastsSaid = `
SELECT coalesce(string_agg(event_id || ' ' || occurred_at::date || ' ' || (body::jsonb->>'payload'), E'\n' ORDER BY event_id), '')
FROM event_log WHERE type = 'FORECAST_GENERATED'`

// Two fleets whose clocks are two hours apart, and one whose clock jumps to and fro,
// do what fleets with the right time do: the same forecasts for the same days, the
// same waits in the retry queues, and no process takes a lease from another.
func TestClocksThatAreWrong(t *testing.T) {
	t.Parallel()
	rounds := 3
	if testing.Short() {
		rounds = 2
	}
	right := newStreet(t)
	f := right.up()
	for range rounds {
		right.round()
		right.settle()
		right.forecast()
	}
	f.stop(t)

	wrong := newStreet(t)
	var fleets []*fleet
	for _, clock := range []string{"1h", "-1h", "1h/300ms"} {
		f := wrong.armed([]string{"COMPOSERP_CLOCK=" + clock}, "up", "--dir", t.TempDir())
		f.isUp(t)
		fleets = append(fleets, f)
	}
	wrong.until("there is a leader of each kind", func() bool {
		return storetest.Value[int](t, wrong.database, `SELECT count(*) FROM lease WHERE name IN ('ticker', 'relay') AND expires_at > clock_timestamp()`) == 2
	})
	terms := wrong.terms()
	for n := range rounds {
		wrong.buyer.set(http.StatusOK, n == 1)
		began := time.Now()
		wrong.round()
		wrong.settle()
		wrong.forecast()
		if took := time.Since(began); n == 1 && (took < 3*time.Second || took > localtest.Deadline(40*time.Second)) {
			t.Errorf("a message that was to wait 5 s has waited about %v", took)
		}
	}
	// A machine that is busy may have a leader miss its time once; a clock that jumps would have had it change at each
	// jump.
	if now := wrong.terms(); now.Relay > terms.Relay+2 || now.Ticker > terms.Ticker+2 {
		t.Errorf("leaders have changed again and again, from %+v to %+v", terms, now)
	}
	if right, wrong := storetest.Value[string](t, right.database, forecastsSaid), storetest.Value[string](t, wrong.database, forecastsSaid); right != wrong || right == "" {
		t.Errorf("by the right clock forecasts say\n%s\nand by wrong ones\n%s", right, wrong)
	}
	wrong.headersTellTheirTime()
	wrong.prove()
	for _, f := range fleets {
		f.stop(t)
	}
}

// forecast waits until the forecasts that are due have been made and handled.
func (s *street) forecast() {
	s.Helper()
	s.until("forecasts", func() bool {
		state, err := eventlog.ReadState(s.Context(), s.db, "")
		if err != nil {
			s.Fatal(err)
		}
		return state.DueForecasts == 0 && state.Unpublished == 0 && s.pending() == ""
	})
}

// headersTellTheirTime expects that the wrong clocks were really there: the times in
// the headers of dead letters are theirs, and those of the database are not.
func (s *street) headersTellTheirTime() {
	s.Helper()
	const off = `SELECT count(*) FROM dead_letter WHERE message_id LIKE 'stranger-%' AND abs(extract(epoch FROM died_at - recorded_at)) BETWEEN 3500 AND 3700`
	if n := storetest.Value[int](s, s.database, off); n == 0 {
		s.Error("no dead letter has died an hour before or after it was recorded: were the clocks wrong at all?")
	}
	if n := storetest.Value[int](s, s.database, `SELECT count(*) FROM dead_letter WHERE message_id LIKE 'stranger-%' AND attempt <> 1`); n != 0 {
		s.Errorf("%d strangers were tried more than once", n)
	}
}
