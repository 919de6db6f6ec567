package cli_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
)

// runbook gives the commands of a block of docs/howto/backup.md.
func runbook(t *testing.T, name string) []string {
	t.Helper()
	raw, err := os.ReadFile("../docs/howto/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), "<!-- runbook: "+name+" -->\n```sh\n")
	block, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatalf("docs/howto/backup.md has no block %q", name)
	}
	var lines []string
	for line := range strings.Lines(block) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// operator types the lines of the runbook.
type operator struct {
	*environment
	path string // where the programs are found
}

// newOperator has composerp and PostgreSQL's programs at hand. rabbitmqctl does
// nothing: the virtual host of the new environment is as empty as it would make one.
func newOperator(h *environment) *operator {
	h.Helper()
	o := &operator{environment: h, path: h.TempDir()}
	composerp, err := program()
	if err != nil {
		h.Fatal(err)
	}
	for name, at := range map[string]string{
		"composerp": composerp, "rabbitmqctl": "/bin/true",
		"pg_dump": localtest.PostgresProgram(h, "pg_dump"), "pg_restore": localtest.PostgresProgram(h, "pg_restore"),
	} {
		if err := os.Symlink(at, filepath.Join(o.path, name)); err != nil {
			h.Fatal(err)
		}
	}
	return o
}

// types runs one line. `up` stays, and `republish` is the test's own where the program has none.
func (o *operator) types(line string) {
	o.Helper()
	switch {
	case line == "composerp up":
		o.up()
		return
	case line == "composerp republish" && o.run("republish", "--help").code != 0:
		o.republish()
		return
	}
	ctx, cancel := context.WithTimeout(o.Context(), localtest.Deadline(3*time.Minute))
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-c", line)
	shell.Dir, shell.Env = o.dir, append(o.env, "PATH="+o.path+":/usr/bin:/bin")
	if out, err := shell.CombinedOutput(); err != nil {
		o.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// republish publishes to each worker's queue what is pending for it.
func (o *operator) republish() {
	o.Helper()
	db, err := sql.Open("postgres", o.database)
	if err != nil {
		o.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(o.Context(), `
		SELECT c.name, e.seq, e.event_id, e.type, e.body FROM event_log e JOIN subscription s ON s.type = e.type JOIN consumer c ON c.id = s.consumer
		WHERE NOT EXISTS (SELECT FROM inbox i WHERE i.consumer = c.id AND i.event_id = e.event_id) ORDER BY e.seq`)
	if err != nil {
		o.Fatal(err)
	}
	defer rows.Close()
	session, err := rabbitmq.Open(o.Context(), o.broker)
	if err != nil {
		o.Fatal(err)
	}
	defer session.Close()
	publisher, err := session.Publisher(0)
	if err != nil {
		o.Fatal(err)
	}
	var confirmations []*rabbitmq.Confirmation
	for rows.Next() {
		var worker string
		var seq int64
		m := rabbitmq.Message{Exchange: topology.Retry}
		if err := rows.Scan(&worker, &seq, &m.ID, &m.Type, &m.Body); err != nil {
			o.Fatal(err)
		}
		m.RoutingKey, m.Headers = topology.QueueName(worker), map[string]any{rabbitmq.HeaderLogSeq: seq}
		c, err := publisher.Publish(o.Context(), m)
		if err != nil {
			o.Fatal(err)
		}
		confirmations = append(confirmations, c)
	}
	if err := rows.Err(); err != nil {
		o.Fatal(err)
	}
	for _, c := range confirmations {
		if err := c.Wait(o.Context()); err != nil {
			o.Fatal(err)
		}
	}
	o.Logf("%d messages were published again", len(confirmations))
}

// day is what a till says in a day, and what stock must come to by it.
func day(rows int) (lines []string, units map[string]int64) {
	rnd, units := rand.New(rand.NewPCG(1, 2)), map[string]int64{}
	for i := range rows {
		item, n := fmt.Sprintf("item-%d", rnd.IntN(40)), 1+rnd.Int64N(9)
		units[item] -= n
		lines = append(lines, fmt.Sprintf("S%d,%s,%d,12.5,2026-02-10T09:%02d:%02dZ", i, item, n, i/60%60, i%60))
	}
	return lines, units
}

// brings writes the till's file as long as it is by now, and imports it.
func (o *operator) brings(lines []string) {
	o.file("sales.csv", "id,item,units,amount,at\n"+strings.Join(lines, "\n")+"\n")
	o.types("composerp import sales.csv --map till.yaml")
}

// straight publishes sales over AMQP, as an external publisher that waits for the confirms.
func (h *environment) straight(ids []string) {
	h.Helper()
	session, err := rabbitmq.Open(h.Context(), h.broker)
	if err != nil {
		h.Fatal(err)
	}
	defer session.Close()
	publisher, err := session.Publisher(0)
	if err != nil {
		h.Fatal(err)
	}
	for _, id := range ids {
		body := fmt.Sprintf(`{"eventId":%q,"eventType":"SALE_COMPLETED","aggregateType":"Sale","aggregateId":%[1]q,"tenantId":"t1","timestamp":"2026-02-10T09:00:00Z","version":"1.0","metadata":{"source":"pos"},`+
			`"payload":{"saleId":%[1]q,"itemId":"straight","locationId":"UK-WH","quantity":1,"amount":1,"timestamp":"2026-02-10T09:00:00Z"}}`, id)
		c, err := publisher.Publish(h.Context(), rabbitmq.Message{Exchange: topology.Events, RoutingKey: event.TypeSaleCompleted.RoutingKey(), ID: id, Type: string(event.TypeSaleCompleted), Body: []byte(body)})
		if err == nil {
			err = c.Wait(h.Context())
		}
		if err != nil {
			h.Fatal(err)
		}
	}
}

func (h *environment) count(query string) int {
	h.Helper()
	return storetest.Value[int](h, h.database, query)
}

// inTheMiddle holds the ledger up while do works, so that what is published
// meanwhile is in no backup.
func (o *operator) inTheMiddle(do func()) {
	o.Helper()
	db, err := sql.Open("postgres", o.database)
	if err != nil {
		o.Fatal(err)
	}
	defer db.Close()
	hold, err := db.BeginTx(o.Context(), nil)
	if err != nil {
		o.Fatal(err)
	}
	defer hold.Rollback()
	if _, err := hold.ExecContext(o.Context(), `LOCK TABLE position IN EXCLUSIVE MODE`); err != nil {
		o.Fatal(err)
	}
	do()
}

// inQueues counts the sales that are published and not handled.
const inQueues = `SELECT count(*) FROM event_log e, log_cursor r JOIN tick t ON t.id = r.tick
	WHERE r.consumer = 'relay' AND e.publish AND e.type = 'SALE_COMPLETED' AND pg_visible_in_snapshot(e.tx, t.snapshot)
	AND NOT EXISTS (SELECT FROM inbox i JOIN consumer c ON c.id = i.consumer AND c.name = 'ledger' WHERE i.event_id = e.event_id)`

// TestTheRunbookOfARestore does what docs/howto/backup.md says, line by line, to a
// fleet that is dumped in the middle of its work and goes on working: in another
// server and another virtual host everything is there again, once.
func TestTheRunbookOfARestore(t *testing.T) {
	t.Parallel()
	const logged = `SELECT count(*) FROM event_log WHERE type = 'SALE_COMPLETED'`
	o := newOperator(newEnvironment(t))
	lines, sold := day(1200)
	o.file("till.yaml", goldenMapping)
	before, after := []string{uuid.NewString(), uuid.NewString()}, []string{uuid.NewString(), uuid.NewString(), uuid.NewString()}
	sold["straight"] = -int64(len(before) + len(after))
	o.up()
	o.straight(before)
	o.brings(lines[:200])
	o.until("the ledger has it", func() bool { return o.count(`SELECT count(*) FROM movement`) == 2*(200+len(before)) })
	o.until("so has the log", func() bool { return o.count(logged) == 200+len(before) })
	o.inTheMiddle(func() {
		o.brings(lines[:600])
		o.until("the queues are full", func() bool { return o.count(inQueues) == 400 })
		for _, line := range runbook(t, "backup") {
			o.types(line)
		}
	})
	// What the dump does not have.
	o.brings(lines)
	o.straight(after)
	o.until("all is logged", func() bool { return o.count(logged) == len(lines)+len(before)+len(after) })

	o.database, o.broker = localtest.AnotherDatabase(t), rabbitmqtest.Vhost(t)
	o.env = o.variables()
	for _, line := range runbook(t, "restore") {
		o.types(line)
		if strings.HasPrefix(line, "pg_restore") {
			if n, m := o.count(logged), o.count(`SELECT count(*) FROM movement`); n != 600+len(before) || m != 2*(200+len(before)) {
				t.Errorf("the dump has %d sales and %d movements", n, m)
			}
			o.refuses()
		}
		if strings.HasPrefix(line, "composerp import") { // and the external publisher sends again, too
			o.straight(append(before, after...))
		}
	}
	o.sells(till{units: sold})
	if n := o.count(`SELECT max(epoch) FROM epoch`); n != 2 {
		t.Errorf("the log is in epoch %d", n)
	}
}

// refuses makes sure that nothing is published before the new epoch, and that errors say what to do.
func (o *operator) refuses() {
	o.Helper()
	for _, c := range []struct {
		command string
		code    int
	}{{"relay", 78}, {"audit", 78}, {"doctor", 2}, {"epoch show", 0}} {
		r := o.run(strings.Fields(c.command)...)
		if text := r.out + r.errors; r.code != c.code || !strings.Contains(text, "composerp epoch begin") || !strings.Contains(text, "docs/howto/backup.md") {
			o.Errorf("composerp %s: exit %d, want %d: %s", c.command, r.code, c.code, text)
		}
	}
}
