package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/fleet"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/deadletterlog"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/runtime/watchdog"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// seedLetters writes four letters: three of the ledger, one of them redriven, and one of intake that is not text.
const seedLetters = `
INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at, redriven_at, redrives)
SELECT l.id::uuid, l.consumer, l.event_id::uuid, l.message_id, l.type, 'integration.sale_completed', l.error, 4, l.headers::jsonb, convert_to(l.body, 'UTF8'), l.died_at::timestamptz,
       l.redriven_at::timestamptz, CASE WHEN l.redriven_at IS NULL THEN 0 ELSE 1 END
FROM (VALUES
 ('00000000-0000-5000-8000-000000000001', 'ledger', '00000000-0000-5000-8000-0000000000a1', 'm-1', 'SALE_COMPLETED', 'item "cup": 3 are missing', '{"x-attempt": 4, "x-log-seq": 7}', '{"tenantId":"t1","aggregateId":"S1"}', '2026-02-09 12:00Z', NULL),
 ('00000000-0000-5000-8000-000000000002', 'ledger', '00000000-0000-5000-8000-0000000000a2', 'm-2', 'SALE_COMPLETED', 'item "jug": 4 are missing', '{}', '{"tenantId":"t2","aggregateId":"S2"}', '2026-02-09 13:00Z', NULL),
 ('00000000-0000-5000-8000-000000000003', 'ledger', '00000000-0000-5000-8000-0000000000a1', 'm-1', 'STOCK_COUNTED', 'the handler panicked: no' || E'\n' || 'goroutine 7', '{"x-quarantine": "ledger-1"}', '{"tenantId":"t1","aggregateId":"C1"}', '2026-02-10 12:00Z', '2026-02-10 13:00Z'),
 ('00000000-0000-5000-8000-000000000004', 'intake', NULL, 'm-4', '', '', '{}', '', '2026-02-08 12:00Z', NULL)
) l (id, consumer, event_id, message_id, type, error, headers, body, died_at, redriven_at)`

func letterPlace(t *testing.T) string {
	t.Helper()
	url := storetest.URL(t)
	storetest.Exec(t, url, seedLetters)
	storetest.Exec(t, url, `UPDATE dead_letter SET body = '\x00ff' WHERE consumer = 'intake'`)
	return url
}

// dlqCase is a command line of `dlq`: its exit code, and what it says and does not show.
type dlqCase struct {
	args string
	code int
	says []string
	not  string
}

func (c dlqCase) check(t *testing.T, more ...string) {
	t.Helper()
	r := command(t, append(strings.Fields("dlq "+c.args), more...)...)
	if r.code != c.code {
		t.Errorf("dlq %s: exit %d, want %d: %s", c.args, r.code, c.code, r.errors)
	}
	for _, want := range c.says {
		if !strings.Contains(r.out+r.errors, want) {
			t.Errorf("dlq %s: want %q in\n%s%s", c.args, want, r.out, r.errors)
		}
	}
	if c.not != "" && strings.Contains(r.out, c.not) {
		t.Errorf("dlq %s: want no %q in\n%s", c.args, c.not, r.out)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	url := letterPlace(t)
	for _, c := range []dlqCase{
		{"list", exit.OK, []string{"no broker is known", "composerp.ledger.dead", "2  ", "item \"jug\": 4 are missing", "composerp.procurement.dead"}, "panicked"},
		{"list --each", exit.OK, []string{"00000000-0000-5000-8000-000000000002", "t2", "S2", "pending"}, "000000000003"},
		{"list --each --all", exit.OK, []string{"the handler panicked: no", "redriven"}, "goroutine"},
		{"list --queue composerp.ledger.dead --each", exit.OK, []string{"S1"}, "intake"},
		{"list --each --since 2026-02-09T12:30:00Z", exit.OK, []string{"S2"}, "S1"},
		{"list --each --until 2026-02-09", exit.OK, []string{"000000000004"}, "S1"},
		{"list --each --limit 1", exit.OK, []string{"000000000004"}, "S1"},
		{"list --since soon", exit.WrongUsage, []string{"2h for two hours ago"}, ""},
		{"list --limit -1", exit.WrongUsage, []string{"want 0 or more"}, ""},
		{"show", exit.WrongUsage, []string{"dlq show ID"}, ""},
		{"show 00000000-0000-5000-8000-0000000000a1", exit.OK, []string{"item \"cup\"", "header x-log-seq", "pending in its queue", "redriven at 2026-02-10 13:00:00", "quarantined with", "goroutine 7"}, "jug"},
		{"show m-4", exit.OK, []string{"2 binary bytes"}, ""},
		{"show m-5", exit.WrongUsage, []string{`no dead letter "m-5"`, "--all"}, ""},
		{"redrive", exit.WrongUsage, []string{"--queue ledger, or --all"}, ""},
		{"redrive --all --queue ledger", exit.WrongUsage, []string{"give one of the two"}, ""},
		{"redrive --queue legder", exit.WrongUsage, []string{`did you mean "ledger"`}, ""},
		{"redrive --queue journal", exit.WrongUsage, []string{"there are ledger"}, ""},
		{"redrive --queue ledger --rate fast", exit.WrongUsage, []string{"letters a second, or max"}, ""},
		{"redrive --queue ledger --max-failure-rate 0", exit.WrongUsage, []string{"1 to 100"}, ""},
		{"redrive --queue ledger", exit.WrongConfiguration, []string{"no broker is known"}, ""},
		{"discard", exit.WrongUsage, []string{"name one worker"}, ""},
		{"list --queue unrouted", exit.WrongConfiguration, []string{"no broker is known"}, ""},
		{"list --queue unrouted --queue ledger", exit.WrongUsage, []string{"name it alone"}, ""},
		{"redrive --queue unrouted --rate 5", exit.WrongUsage, []string{"--rate: not with --queue unrouted"}, ""},
	} {
		c.check(t, "--database-url", url, "--dir", t.TempDir())
	}
}

// A letter that a policy let expire names the policy of its queue, says that it is gone, or that nothing can tell.
func TestALetterNamesItsPolicy(t *testing.T) {
	t.Parallel()
	env := workertest.NewEnv(t, workers.Fleet(workers.Config{})...)
	storetest.Exec(t, env.URL, seedLetters)
	storetest.Exec(t, env.URL, `UPDATE dead_letter SET error = $1 WHERE message_id <> 'm-4'`, "the broker dead-lettered it from composerp.ledger: "+rabbitmq.ExpiredByPolicy+" (composerp dlq show names the policy)")
	show := func(id string, flags ...string) string {
		t.Helper()
		r := command(t, append([]string{"dlq", "show", id, "--database-url", env.URL, "--dir", t.TempDir()}, flags...)...)
		if r.code != exit.OK {
			t.Fatalf("exit %d: %s", r.code, r.errors)
		}
		return r.out
	}
	servers := []string{"--amqp-url", env.Broker.URLs[0], "--management-url", rabbitmqtest.ManagementURL(t)}
	if got := show("m-2"); !strings.Contains(got, "not known: no management API") {
		t.Errorf("without a broker: %s", got)
	}
	if got := show("m-2", servers...); !strings.Contains(got, "none now: the policy that made it a dead letter is gone") {
		t.Errorf("without a policy: %s", got)
	}
	if got := show("m-4", servers...); strings.Contains(got, "policy") {
		t.Errorf("of another letter: %s", got)
	}
	rabbitmqtest.SetPolicy(t, env.Broker, "hurry", "^composerp[.]ledger$", map[string]any{"message-ttl": 3000})
	env.Eventually("the policy is named", func() bool { return strings.Contains(show("m-2", servers...), "policy hurry: message-ttl 3000 ms") })
	if got := show("m-2", append(servers, "-o", "json")...); !strings.Contains(got, `"policy": "policy hurry: message-ttl 3000 ms"`) {
		t.Errorf("as JSON: %s", got)
	}
}

// A letter that a policy made is recorded with what the queue's policies set then, so that `dlq` names them when they
// are gone. What died before the watchdog saw a policy gets it afterwards.
func TestALetterIsRecordedWithItsPolicy(t *testing.T) {
	t.Parallel()
	env := workertest.NewEnv(t, workers.Fleet(workers.Config{})...)
	env.RunWorker(deadletterlog.New(), 1)
	send := func(worker string, n int) {
		t.Helper()
		for _, e := range workertest.Sales(t, n) {
			env.Send(rabbitmq.Message{Exchange: topology.Retry, RoutingKey: topology.QueueName(worker), ID: e.ID.String(), Type: string(e.Type), Body: []byte("{}")})
		}
	}
	inForce := func(worker string) bool {
		return storetest.Value[bool](t, env.URL, `SELECT count(*) > 0 FROM queue_policy WHERE until IS NULL AND consumer = $1`, worker)
	}
	recorded := func(worker string, n int) {
		t.Helper()
		env.Eventually("the letters are recorded with a policy", func() bool {
			return storetest.Value[int](t, env.URL, `SELECT count(*) FROM dead_letter WHERE consumer = $1 AND policy <> ''`, worker) == n
		})
	}
	rabbitmqtest.SetPolicy(t, env.Broker, "hurry", "^composerp[.]ledger$", map[string]any{"message-ttl": 20})
	rabbitmqtest.SetPolicy(t, env.Broker, "small", "^composerp[.]intake$", map[string]any{"max-length": 5, "overflow": "drop-head"})
	rabbitmqtest.SetOperatorPolicy(t, env.Broker, "limits", "^composerp[.]intake$", map[string]any{"max-length": 1})
	send("ledger", 1)
	env.Eventually("a letter is recorded before the policy is seen", func() bool {
		return storetest.Value[int](t, env.URL, `SELECT count(*) FROM dead_letter WHERE policy = ''`) == 1
	})
	management, err := management.New(rabbitmqtest.ManagementURL(t))
	env.Must(err)
	env.Start("watchdog", func(ctx context.Context, p *workertest.Part) error {
		w := &watchdog.Watchdog{DB: env.DB, Broker: env.Broker, Management: management, Holder: "test", Log: p.Logs.Logger(), Interval: 100 * time.Millisecond,
			Plan: fleet.PlanOf()}
		return w.Run(ctx)
	})
	recorded("ledger", 1)
	env.Eventually("the other policy is seen", func() bool { return inForce("intake") })
	send("intake", 3)
	recorded("intake", 2)
	rabbitmqtest.DeletePolicy(t, env.Broker, "hurry")
	env.Eventually("the policy is gone", func() bool { return !inForce("ledger") })
	for worker, want := range map[string]string{
		"ledger": "policy hurry: message-ttl 20 ms",
		"intake": "policy small with operator policy limits: max-length 1, overflow drop-head",
	} {
		id := storetest.Value[string](t, env.URL, `SELECT id FROM dead_letter WHERE consumer = $1 LIMIT 1`, worker)
		for _, args := range []string{"show " + id, "show " + id + " -o json", "list --each --queue " + worker, "export --queue " + worker} {
			r := command(t, append(append([]string{"dlq"}, strings.Fields(args)...), "--database-url", env.URL, "--dir", t.TempDir())...)
			if r.code != exit.OK || !strings.Contains(r.out, want) {
				t.Errorf("dlq %s: exit %d, want %q in\n%s%s", args, r.code, want, r.out, r.errors)
			}
		}
	}
}

func TestExportedLetters(t *testing.T) {
	t.Parallel()
	url := letterPlace(t)
	for args, want := range map[string][]string{
		"":                                     {"m-4", "m-1", "m-2"},
		"--all --id m-1":                       {"m-1", "m-1"},
		"--error 0_of --queue ledger":          nil,
		"--error MISSING --tenant t1":          {"m-1"},
		"--quarantine ledger-1 --all":          {"m-1"},
		"--type SALE_COMPLETED --aggregate S2": {"m-2"},
		"--limit 2":                            {"m-4", "m-1"},
	} {
		r := command(t, append(append([]string{"dlq", "export"}, strings.Fields(args)...), "--database-url", url)...)
		if r.code != exit.OK {
			t.Errorf("dlq export %s: exit %d: %s", args, r.code, r.errors)
		}
		var got []string
		for line := range strings.Lines(r.out) {
			var e deadletters.Entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, e.MessageID)
			if body := string(e.BodyBase64); e.MessageID == "m-4" && body != "\x00\xff" || e.MessageID == "m-2" && *e.Body != `{"tenantId":"t2","aggregateId":"S2"}` {
				t.Errorf("the body of %s is %q", e.MessageID, body)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("dlq export %s: %v, want %v", args, got, want)
		}
	}
}

// What can be tried without a fleet: the queues are there, and no worker runs.
func TestDiscardAsksFirst(t *testing.T) {
	t.Parallel()
	url, broker := storetest.URL(t), rabbitmqtest.Vhost(t)
	if err := rabbitmq.Apply(t.Context(), workers.Topology(), broker); err != nil {
		t.Fatal(err)
	}
	session, err := rabbitmq.Open(t.Context(), broker)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	publisher, err := session.Publisher(1)
	if err != nil {
		t.Fatal(err)
	}
	d := rabbitmq.Delivery{Message: rabbitmq.Message{ID: "m-1", Body: []byte("?")}}
	confirmation, err := publisher.Publish(t.Context(), rabbitmq.DeadMessage(d, "ledger", os.ErrInvalid))
	if err == nil {
		err = confirmation.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "out.ndjson")
	discard := func(args ...string) outcome {
		line := append([]string{"dlq", "discard", "--queue", "ledger", "--database-url", url, "--amqp-url", broker.URLs[0], "--export", file}, args...)
		return command(t, line...)
	}
	if r := discard(); r.code != exit.WrongUsage || !strings.Contains(r.errors, "add --confirm=composerp.ledger.dead") {
		t.Errorf("unasked: exit %d: %s", r.code, r.errors)
	}
	if r := discard("--confirm", "composerp.intake.dead"); r.code != exit.WrongUsage || !strings.Contains(r.errors, "which is composerp.ledger.dead") {
		t.Errorf("of another queue: exit %d: %s", r.code, r.errors)
	}
	if r := discard("--confirm=composerp.ledger.dead", "--tenant", "unknown"); r.code != exit.OK {
		t.Errorf("of an unknown tenant: exit %d: %s", r.code, r.errors)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("an empty export is left")
	}
	if r := discard("--confirm=composerp.ledger.dead"); r.code != exit.OK || !strings.Contains(r.out, file) {
		t.Errorf("confirmed: exit %d: %s%s", r.code, r.out, r.errors)
	}
	text, err := os.ReadFile(file)
	if err != nil || bytes.Count(text, []byte("\n")) != 1 || !bytes.Contains(text, []byte(`"m-1"`)) {
		t.Errorf("the export is %s, %v", text, err)
	}
	if n, _, err := session.Depth("composerp.ledger.dead"); err != nil || n != 0 {
		t.Errorf("%d letters are left, %v", n, err)
	}
	if r := discard("--confirm=composerp.ledger.dead"); r.code != exit.WrongUsage || !strings.Contains(r.errors, "exists") {
		t.Errorf("into a file that is there: exit %d: %s", r.code, r.errors)
	}
}
