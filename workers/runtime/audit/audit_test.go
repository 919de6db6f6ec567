package audit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/audit"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestAFleetAtRestIsProven(t *testing.T) {
	p := newEnv(t)
	r := p.until("every queue is seen", func(r audit.Report) bool { return check(t, r, "stuck").Skipped == "" })
	if !r.Proven() || failed(r) != "" {
		t.Errorf("not proven:\n%s", r.Table())
	}
	if c := check(t, r, "queues"); !c.OK || c.Count != 3 {
		t.Errorf("check queues is %+v, want the worker's queue, its retry and the letters's", c)
	}
	if strings.ContainsAny(r.Table(), "✗–") || !strings.Contains(r.Table(), "PROVEN: everything adds up") {
		t.Errorf("the table reads\n%s", r.Table())
	}
}

// The gauge grows with the log, until an audit proves it.
func TestTheLogWithoutAProof(t *testing.T) {
	p := newEnv(t)
	registry := prometheus.NewRegistry()
	audit.Register(registry, p.DB)
	unproven := func() float64 { return workertest.Metric(t, registry, "composerp_audit_unproven_seconds") }
	p.Exec(`UPDATE tick SET made_at = clock_timestamp() - interval '1 hour'`)
	p.Exec(`INSERT INTO tick (id, epoch, snapshot, max_seq, seq_before) SELECT max(id) + 1, 1, pg_current_snapshot(), 0, 0 FROM tick`)
	if got := unproven(); got < 3599 || got > 3600 {
		t.Errorf("the log has gone on for %v s, want 3600", got)
	}
	if r := p.run(); failed(r) != "" {
		t.Fatalf("the audit has findings:\n%s", r.Table())
	}
	if got := unproven(); got != 0 {
		t.Errorf("after an audit it is %v s", got)
	}
}

func TestAnUnroutedMessageIsAFinding(t *testing.T) {
	p := newEnv(t)
	p.send(topology.Events, "no.queue")
	p.expect(p.run(), audit.Findings, "unrouted", topology.Unrouted, "1 message that no worker's queue was bound for")
}

func TestWhatWaitsIsInFlight(t *testing.T) {
	p := newEnv(t)
	p.send(topology.Events, saleKey)
	p.send(topology.Events, saleKey)
	p.expect(p.run(), audit.InFlight, "queues", "composerp.ledger", "2 messages and no consumer")
}

func TestAMessageInARetryQueueIsInFlight(t *testing.T) {
	p := newEnv(t)
	retry := topology.RetryQueueName("ledger", time.Hour)
	p.send(topology.Retry, retry)
	p.expect(p.run(), audit.InFlight, "queues", retry, "1 message")
}

func TestAnUnrecordedDeadLetterIsInFlight(t *testing.T) {
	p := newEnv(t)
	p.send(topology.Dead, topology.QueueName("ledger"))
	p.expect(p.run(), audit.InFlight, "queues", topology.DeadLetterLog, "1 message")
}

func TestAMessageInHandIsInFlight(t *testing.T) {
	p := newEnv(t)
	p.send(topology.Events, saleKey)
	consumer, err := p.Session().Consume("composerp.ledger", "test", 1)
	storetest.Must(t, err)
	_, err = consumer.Take(t.Context(), 1)
	storetest.Must(t, err)
	r := p.until("the message in hand is seen", func(r audit.Report) bool { return r.Verdict == audit.InFlight })
	p.expect(r, audit.InFlight, "hands", "composerp.ledger", "1 message not acknowledged")
	// No look in the time for which the figures may be old has called it quiet: that time is what Settle is for.
	p.Settle = 0
	if r := p.run(); r.Proven() {
		t.Errorf("proven with a message in hand:\n%s", r.Table())
	}
}

func TestAnUnpublishedEventIsInFlight(t *testing.T) {
	p := newEnv(t)
	p.Admit(workertest.Sale(t, "A", "shop", "1"))
	r := p.run()
	p.expect(r, audit.InFlight, "published", "", "1 event to be published")
	if !strings.Contains(r.Table(), "IN FLIGHT") || !strings.Contains(r.Table(), "✗ published") {
		t.Errorf("the table reads\n%s", r.Table())
	}
}

func TestAMessageInMessagesDLXIsAFinding(t *testing.T) {
	const lost = "composerp.ledger.retry.lost"
	p := newEnv(t, topology.QueueSpec{Name: lost, Arguments: map[string]any{
		"x-queue-type": "quorum", "x-message-ttl": int64(1), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "nowhere",
		"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
	}})
	p.send("", lost)
	r := p.until("the message is seen", func(r audit.Report) bool { return check(t, r, "stuck").Wrong > 0 })
	p.expect(r, audit.Findings, "stuck", lost, "1 message in messages_dlx")
}

func TestAnUnknownDeadLetterIsRecorded(t *testing.T) {
	p := newEnv(t)
	dead := topology.DeadQueueName("ledger")
	p.send(topology.Dead, topology.QueueName("ledger"))
	p.send(topology.Dead, topology.QueueName("ledger"))
	p.drain(topology.DeadLetterLog)
	// Another consumer takes from the queue: what the dead-letter log lacks cannot be known, and the audit does not pass.
	other, err := p.Session().Consume(dead, "other", 1)
	storetest.Must(t, err)
	_, err = other.Take(t.Context(), 1)
	storetest.Must(t, err)
	if c := check(t, p.run(), "dead"); !strings.Contains(c.Skipped, dead+" has 1 message, the dead-letter log 0: another consumer takes from it") {
		t.Errorf("beside another consumer the check is %+v", c)
	}
	storetest.Must(t, other.Close())
	var said []string
	p.until("the drained dead-letter log is at rest", func(r audit.Report) bool {
		if c := check(t, r, "dead"); c.Repaired != "" {
			said = append(said, c.Repaired)
		}
		return r.Proven() && check(t, r, "dead").OK
	})
	if want := "recorded 2 letters of " + dead + " that the dead-letter log did not have"; len(said) != 1 || said[0] != want {
		t.Errorf("it is said %q, want once %q", said, want)
	}
	if n := storetest.Value[int](t, p.URL, `SELECT count(*) FROM dead_letter WHERE lies AND consumer = 'ledger'`); n != 2 {
		t.Errorf("the log has %d letters, want those in the queue", n)
	}
	// Fewer than the log has: one was taken away, which is allowed.
	p.drain(dead)
	p.until("the drained queue is at rest", audit.Report.Proven)
}

// A dead letter goes with its queue. Its event is neither handled nor dead then, whatever the log says.
func TestADeadLetterThatWasLostWithItsQueueIsPendingAgain(t *testing.T) {
	p := newEnv(t)
	p.pend(t)
	id, body := storetest.Value[string](t, p.URL, `SELECT event_id::text FROM event_log`), storetest.Value[string](t, p.URL, `SELECT body FROM event_log`)
	p.Send(rabbitmq.Message{Exchange: topology.Dead, RoutingKey: topology.QueueName("ledger"), ID: id, Body: []byte(body)})
	p.drain(topology.DeadLetterLog)
	r := p.until("the letter is entered, and all is at rest", func(r audit.Report) bool { return r.Verdict != audit.InFlight })
	if check(t, r, "handled").Wrong > 0 {
		t.Errorf("with its letter in the queue the event is called lost:\n%s", r.Table())
	}
	p.DeleteQueue(topology.DeadQueueName("ledger"))
	p.ApplyTopology(p.Topology)
	r = p.run()
	p.expect(r, audit.Findings, "handled implied", "", "neither handled nor dead")
	if c := check(t, r, "dead"); c.Repaired != "marked as lost 1 letter that "+topology.DeadQueueName("ledger")+" does not hold any more" {
		t.Errorf("the check is %+v", c)
	}
}

func TestAMissingQueueIsAFinding(t *testing.T) {
	p := newEnv(t)
	p.DeleteQueue("composerp.ledger")
	p.expect(p.run(), audit.Findings, "queues", "composerp.ledger", "apply the topology")
}

func TestTheAuditWaitsForTheFleet(t *testing.T) {
	p := newEnv(t)
	p.send(topology.Events, saleKey)
	p.Wait = time.Minute
	drained := false
	p.Progress = func(text string) {
		if strings.Contains(text, "composerp.ledger 1 ready") && !drained {
			drained = true
			p.drain("composerp.ledger")
		}
	}
	if r := p.run(); !drained || !r.Proven() {
		t.Errorf("waited: %v\n%s", drained, r.Table())
	}
}

// An event that enters the log while the audit looks makes it look again: here
// it is not published, so it ends in flight and not as a finding.
func TestAnEventDuringTheProofIsNoFinding(t *testing.T) {
	p := newEnv(t)
	p.Settle = 300 * time.Millisecond
	p.Wait = localtest.Deadline(2 * time.Second)
	// The second look is the last one: the event comes after it has looked at the log.
	looks := 0
	p.Management = managementClient(t, func(w http.ResponseWriter) {
		if looks++; looks == 2 {
			p.Admit(workertest.Sale(t, "A", "shop", "1"))
		}
		fmt.Fprint(w, `[]`)
	})
	p.expect(p.run(), audit.InFlight, "published", "", "1 event")
}

// Figures may be some seconds old: those of the first looks prove nothing.
func TestTheAuditDoesNotTrustTheFirstFigures(t *testing.T) {
	p := newEnv(t)
	p.Settle = 1500 * time.Millisecond
	p.figures(t, func(look int) int { return min(1, look/3) })
	p.expect(p.run(), audit.InFlight, "hands", "composerp.ledger", "1 message not acknowledged")
}

// A fleet that comes to rest for a moment now and then is not at rest.
func TestTheFleetMustStayAtRest(t *testing.T) {
	p := newEnv(t)
	p.Settle, p.Wait = time.Second, 3*time.Second
	p.figures(t, func(look int) int { return (look + 1) % 2 })
	p.expect(p.run(), audit.InFlight, "hands", "composerp.ledger", "1 message not acknowledged")
}

// An event that comes between two snapshots and is handled at once shows in the log alone.
func TestANewEventBeginsTheWaitAnew(t *testing.T) {
	p := newEnv(t)
	p.Settle, p.Wait = time.Second, localtest.Deadline(time.Minute)
	looks := 0
	p.figures(t, func(look int) int {
		if looks = look; look == 2 {
			p.AdmitPublished(workertest.Sale(t, "A", "shop", "1"))
		}
		return 0
	})
	// There is no ledger to move its stock.
	if r := p.run(); failed(r) != "implied" || looks < 5 {
		t.Errorf("after %d looks, want 5 or more:\n%s", looks, r.Table())
	}
}

func TestWhatCannotBeSeenIsSaid(t *testing.T) {
	refused, err := management.New("http://unknown:wrong@127.0.0.1:1")
	storetest.Must(t, err)
	for name, c := range map[string]struct {
		managementClient *management.Client
		reason           string
	}{
		"no URL":     {nil, "is not known"},
		"no answer":  {refused, "unreachable"},
		"no queues":  {managementThatAnswers(t, http.StatusOK, `[]`), "no figures of composerp."},
		"no access":  {managementThatAnswers(t, http.StatusUnauthorized, `{}`), "refuses access"},
		"no plug-in": {managementThatAnswers(t, http.StatusNotFound, `not found`), "404"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newEnv(t)
			p.Management = c.managementClient
			r := p.run()
			if !r.Proven() {
				t.Errorf("verdict %s", r.Verdict)
			}
			for _, name := range []string{"hands", "stuck"} {
				if got := check(t, r, name); got.OK || !strings.Contains(got.Skipped, c.reason) {
					t.Errorf("check %s is %+v, want it skipped because it %s", name, got, c.reason)
				}
			}
			if page := r.Table(); !strings.Contains(page, "as far as could be seen: 2 of") || !strings.Contains(page, c.reason) {
				t.Errorf("the table does not say so:\n%s", page)
			}
		})
	}
}

func TestAnAuditThatCannotBeMadeIsAnError(t *testing.T) {
	p := newEnv(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.send(topology.Events, saleKey)
	p.Wait = time.Minute
	p.Progress = func(string) { cancel() }
	if _, err := audit.Run(ctx, p.Config); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	p.Config.Broker.URLs = []string{"amqp://guest:guest@127.0.0.1:1/"}
	if _, err := audit.Run(t.Context(), p.Config); !errors.Is(err, rabbitmq.ErrUnreachable) {
		t.Errorf("without a broker: %v", err)
	}
}
