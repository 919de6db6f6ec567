package cli_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
)

const mapping = "../deploy/demo/online-retail.yaml"

// Fifteen hundred real rows, by each path (import and AMQP) and by both at once, with the fleet
// killed on the way. With COMPOSERP_REAL_ROWS=0 it is the whole file.
func realRowsWanted() int {
	if os.Getenv("COMPOSERP_REAL_ROWS") == "0" {
		return 0
	}
	return 1500
}

type importReport struct {
	Rows, Admitted, Duplicates int64
	Rejected                   map[string]int64
}

func (h *environment) importFile(path string) importReport {
	h.Helper()
	m, err := filepath.Abs(mapping)
	if err != nil {
		h.Fatal(err)
	}
	var report importReport
	r := h.ok("import", path, "--map", m, "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		h.Fatalf("%v in %s", err, r.out)
	}
	return report
}

// proven audits and expects the proof.
func (h *environment) proven() {
	h.Helper()
	r := h.run("audit", "--wait", "20m") // the whole file may take so long; the audit ends as soon as the fleet is quiet
	if r.code != 0 {
		h.Fatalf("the audit exits with %d:\n%s%s", r.code, r.out, r.errors)
	}
}

// sells checks the stock of every item against the till's own arithmetic.
func (h *environment) sells(sold till) {
	h.Helper()
	var rows []struct {
		TenantID, ItemID, LocationID string
		OnHand                       json.Number
	}
	r := h.ok("stock", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &rows); err != nil {
		h.Fatalf("%v in %.200s", err, r.out)
	}
	units := map[string]int64{}
	for _, row := range rows {
		n, err := row.OnHand.Int64()
		if err != nil || row.LocationID != "UK-WH" {
			h.Fatalf("a row of stock that no till has made: %+v", row)
		}
		units[row.ItemID] = n
	}
	for item, want := range sold.units {
		if units[item] != want {
			h.Errorf("item %s stands at %d, want %d", item, units[item], want)
		}
	}
	if hashOf(units) != hashOf(sold.units) {
		h.Errorf("the items' sha256 is %s, want %s", hashOf(units), hashOf(sold.units))
	}
	if n := storetest.Value[int](h, h.database, `SELECT count(*) FROM dead_letter`); n != 0 {
		h.Errorf("%d dead letters, want none", n)
	}
}

func TestRealSalesThroughTheLog(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sold := realTill(t, h.dir, realRowsWanted())
	f := h.up()
	report := h.importFile(sold.path)
	if report.Rows != int64(sold.rows) || report.Admitted != int64(sold.rows-sold.rejected) || report.Rejected["not_stocked"] != int64(sold.rejected) {
		t.Errorf("the import reports %+v, want %d rows, %d of them rejected", report, sold.rows, sold.rejected)
	}
	h.proven()
	h.sells(sold)
	if again := h.importFile(sold.path); again.Admitted != 0 || again.Duplicates != report.Admitted {
		t.Errorf("a second import reports %+v, want nothing new", again)
	}
	h.proven()
	h.sells(sold)
	// The log alone gives the positions of the live ledger, to the last decimal.
	h.ok("projections", "rebuild", "positions", "--reason", "is the ledger what the log says?")
	var diff struct {
		Totals []struct{ Same, Added, Removed, Changed int64 }
	}
	if err := json.Unmarshal([]byte(h.ok("projections", "diff", "positions", "-o", "json").out), &diff); err != nil {
		t.Fatal(err)
	}
	if live := storetest.Value[int64](t, h.database, `SELECT count(*) FROM position WHERE left(location_id, 1) <> '@'`); len(diff.Totals) != 1 || diff.Totals[0].Same != live || live != int64(len(sold.units)) {
		t.Errorf("the log and the ledger have %+v, want %d positions alike, as many as items were sold (%d)", diff.Totals, live, len(sold.units))
	}
	f.stop(t)
}

func TestRealSalesStraightOverAMQP(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sold := realTill(t, h.dir, realRowsWanted())
	h.up()
	h.external(t.Context(), sold)
	h.proven()
	h.sells(sold)
}

// Both paths at once, and the fleet killed with SIGKILL three times meanwhile.
func TestBothPathsAtOnceThroughKills(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sold := realTill(t, h.dir, realRowsWanted())
	f := h.up()
	outside := make(chan struct{})
	go func() { defer close(outside); h.external(t.Context(), sold) }()
	imported := make(chan struct{})
	go func() { defer close(imported); h.importFile(sold.path) }()
	for kill := range 3 {
		handled := storetest.Value[int](t, h.database, `SELECT count(*) FROM movement`)
		h.until("there are more movements", func() bool {
			now := storetest.Value[int](t, h.database, `SELECT count(*) FROM movement`)
			return now > handled+sold.rows/8 || now >= 2*(sold.rows-sold.rejected)
		})
		f.kill(t)
		t.Logf("kill %d at %d movements", kill+1, storetest.Value[int](t, h.database, `SELECT count(*) FROM movement`))
		f = h.up()
	}
	<-outside
	<-imported
	h.proven()
	h.sells(sold)
}

// until polls for a condition.
func (h *environment) until(what string, holds func() bool) {
	h.Helper()
	localtest.Eventually(h, 2*time.Minute, what, holds)
}

// external is an external publisher: it publishes the file's events straight to the
// exchange, and waits for the broker's confirms.
func (h *environment) external(ctx context.Context, sold till) {
	m, err := filepath.Abs(mapping)
	if err != nil {
		h.Error(err)
		return
	}
	events := h.ok("import", "--dry-run", sold.path, "--map", m).out
	// What was not confirmed is said again, all of it: that is for the fleet to know.
	for err = h.say(ctx, events); errors.Is(err, rabbitmq.ErrSessionLost); {
		err = h.say(ctx, events)
	}
	if err != nil {
		h.Error(err)
	}
}

// say publishes events, a line each, and waits until the broker has them.
func (h *environment) say(ctx context.Context, events string) error {
	session, err := rabbitmq.Open(ctx, h.broker)
	if err != nil {
		return err
	}
	defer session.Close()
	publisher, err := session.Publisher(0)
	if err != nil {
		return err
	}
	var confirmations []*rabbitmq.Confirmation
	for scanner := bufio.NewScanner(strings.NewReader(events)); scanner.Scan(); {
		e, err := event.DecodeOutside([]byte(scanner.Text()))
		if err != nil {
			return err
		}
		c, err := publisher.Publish(ctx, rabbitmq.Message{Exchange: topology.Events, RoutingKey: e.Type.RoutingKey(), ID: e.ID.String(), Type: string(e.Type), Body: e.Body})
		if err != nil {
			return err
		}
		confirmations = append(confirmations, c)
	}
	for _, c := range confirmations {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// The whole file's arithmetic, without the product: the totals of the data's README.
func TestTheTestsOwnArithmetic(t *testing.T) {
	t.Parallel()
	sold := realTill(t, t.TempDir(), 0)
	if sold.rows != realRows || sold.rejected != realRejected || netOf(sold.units) != realNet || hashOf(sold.units) != realItemsHash {
		t.Errorf("%d rows, %d rejected, net %d, sha256 %s", sold.rows, sold.rejected, netOf(sold.units), hashOf(sold.units))
	}
}
