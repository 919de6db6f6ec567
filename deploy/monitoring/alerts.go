package monitoring

import (
	"fmt"
	"time"
)

// What the page calls old too.
const (
	// UnpublishedFor is from when on an event that waits in the log is an alert that pages.
	UnpublishedFor = time.Minute
	// UnprovenFor is from when on a log that goes on without a proof makes a ticket.
	UnprovenFor = 36 * time.Hour
	// StandingFor is from when on a rebuild that does not move makes a ticket.
	StandingFor = time.Hour
)

// objective is the share of messages that may become dead letters in a month.
const objective = "0.001"

// burning is true while the error budget of a month is used up that many times too fast, by a long window and by a
// short one: the long one shows that it matters, the short one that it goes on.
func burning(factor, long, short string) string {
	return fmt.Sprintf("(%s) > %s * %s and (%s) > %s * %s", failedShare(long), factor, objective, failedShare(short), factor, objective)
}

const (
	handledSeries = `composerp_worker_messages_total{worker="ledger",outcome="handled"}`
	deadSeries    = `composerp_worker_messages_total{worker="ledger",outcome="dead"}`
	ledgerQueue   = `{queue="composerp.ledger",vhost="composerp"}`
	lotsQueue     = `{queue="composerp.lots",vhost="composerp"}`
	lotsPaused    = `composerp_pool_paused{queue="lots"}`
	ledgerDead    = `{queue="composerp.ledger.dead",vhost="composerp"}`
)

// unlessPaused leaves out the workers that an operator has paused: composerp doctor tells of what waits for them.
var unlessPaused = " unless on (worker) " + poolByWorker("composerp_pool_paused") + " == 1"

// Alerts are all of them. Those that page are of symptoms.
var Alerts = []Alert{
	{
		Name: "ComposerpErrorBudgetFast", Severity: SeverityPage, For: 2 * time.Minute, Expr: burning("14.4", "1h", "5m"),
		Summary: "More than 1.4 % of messages become dead letters: at this rate the budget of a month is used up in two days",
		Do:      "composerp dlq list shows which worker and which error",
		Firing:  Case{At: 30 * time.Minute, Series: []Series{{handledSeries, "0+1000x120"}, {deadSeries, "0+20x120"}}},
		Quiet:   []Series{{handledSeries, "0+1000x120"}, {deadSeries, "0+5x120"}},
	},
	{
		Name: "ComposerpErrorBudgetSlow", Severity: SeverityTicket, For: 15 * time.Minute, Expr: burning("6", "6h", "30m"),
		Summary: "More than 0.6 % of messages become dead letters: at this rate the budget of a month is used up in five days",
		Do:      "composerp dlq list shows which worker and which error",
		Firing:  Case{At: 2 * time.Hour, Series: []Series{{handledSeries, "0+1000x240"}, {deadSeries, "0+8x240"}}},
		Quiet:   []Series{{handledSeries, "0+1000x240"}, {deadSeries, "0+1x240"}},
	},
	{
		Name: "ComposerpEventsUnpublished", Severity: SeverityPage, For: time.Minute, Expr: fmt.Sprintf("%s > %g", oldestUnpublished, UnpublishedFor.Seconds()),
		Summary: "Events have waited in the log for more than a minute",
		Do:      "composerp doctor says whether the relay leads and the broker takes events",
		Firing:  Case{At: 10 * time.Minute, Series: []Series{{"composerp_log_oldest_unpublished_timestamp_seconds", "0+60x3 180x120"}}},
		Quiet:   []Series{{"composerp_log_oldest_unpublished_timestamp_seconds", "0+60x120"}},
	},
	{
		Name: "ComposerpNoRelay", Severity: SeverityPage, For: time.Minute, Expr: `absent(composerp_relay_leading == 1)`,
		Summary: "No relay leads: events stay in the log",
		Do:      "see whether a process of composerp up or composerp relay runs, and composerp doctor",
		Firing:  Case{At: 5 * time.Minute, Series: []Series{{`composerp_relay_leading{instance="a"}`, "0x120"}}},
		Quiet:   []Series{{`composerp_relay_leading{instance="a"}`, "0x120"}, {`composerp_relay_leading{instance="b"}`, "1x120"}},
	},
	{
		Name: "ComposerpQueueWithoutConsumer", Severity: SeverityPage, For: 2 * time.Minute,
		Expr:    sumByWorker(depth+ofWorkers) + " > 0 and on (worker) " + sumByWorker("rabbitmq_detailed_queue_consumers"+ofWorkers) + " == 0" + unlessPaused,
		Summary: "Messages wait for {{ $labels.worker }}, and nothing consumes them",
		Do:      "composerp worker describe {{ $labels.worker }} says whether it runs and has a node",
		Firing: Case{At: 5 * time.Minute, Labels: map[string]string{"worker": "ledger"},
			Series: []Series{{depth + ledgerQueue, "3x120"}, {"rabbitmq_detailed_queue_consumers" + ledgerQueue, "0x120"}}},
		Quiet: []Series{{depth + ledgerQueue, "3x120"}, {"rabbitmq_detailed_queue_consumers" + ledgerQueue, "1x120"},
			{depth + lotsQueue, "3x120"}, {"rabbitmq_detailed_queue_consumers" + lotsQueue, "0x120"}, {lotsPaused, "1x120"}},
	},
	{
		Name: "ComposerpQueueWithoutProgress", Severity: SeverityPage, For: 5 * time.Minute,
		Expr:    sumByWorker(depth+ofWorkers) + " > 0 unless on (worker) sum by (worker) (rate(composerp_worker_messages_total[5m])) > 0" + unlessPaused,
		Summary: "Messages wait for {{ $labels.worker }}, and it has handled none for five minutes",
		Do:      "composerp doctor says what it waits for",
		Firing: Case{At: 15 * time.Minute, Labels: map[string]string{"worker": "ledger"},
			Series: []Series{{depth + ledgerQueue, "3x120"}, {handledSeries, "7x120"}}},
		Quiet: []Series{{depth + ledgerQueue, "3x120"}, {handledSeries, "0+10x120"}, {depth + lotsQueue, "3x120"}, {lotsPaused, "1x120"}},
	},
	{
		Name: "ComposerpDeadLetters", Severity: SeverityTicket,
		Expr:    sumByWorker("delta("+depth+ofDead+"[15m])") + " > 0",
		Summary: "{{ $labels.worker }} has new dead letters",
		Do:      "composerp dlq list --queue {{ $labels.worker }} shows the errors",
		Firing: Case{At: 15 * time.Minute, Labels: map[string]string{"worker": "ledger"},
			Series: []Series{{depth + ledgerDead, "2x10 5x110"}}},
		Quiet: []Series{{depth + ledgerDead, "5x120"}},
	},
	{
		Name: "ComposerpDeadLettersOld", Severity: SeverityTicket,
		Expr:    `time() - min by (queue) (composerp_dead_letters_oldest_timestamp_seconds) > 24 * 3600`,
		Summary: "A dead letter of {{ $labels.queue }} has waited for a person for more than a day",
		Do:      "composerp dlq list --queue {{ $labels.queue }} shows it; redrive it, or discard it with a reason",
		Firing: Case{At: time.Hour, Labels: map[string]string{"queue": "ledger"},
			Series: []Series{{`composerp_dead_letters_oldest_timestamp_seconds{queue="ledger"}`, "-90000x180"}}},
		Quiet: []Series{{`composerp_dead_letters_oldest_timestamp_seconds{queue="ledger"}`, "0x180"}},
	},
	{
		Name: "ComposerpPublisherRefused", Severity: SeverityTicket, For: 5 * time.Minute,
		Expr:    `sum by (kind) (rate(composerp_publisher_messages_total{outcome="nacked"}[5m])) > 0`,
		Summary: "A queue refuses what the {{ $labels.kind }} publishes: it waits and tries again",
		Do:      "composerp topology diff says whether a policy limits a queue's length; composerp doctor which queue is full",
		Firing: Case{At: 20 * time.Minute, Labels: map[string]string{"kind": "relay"},
			Series: []Series{{`composerp_publisher_messages_total{kind="relay",outcome="nacked"}`, "0+10x120"}}},
		Quiet: []Series{{`composerp_publisher_messages_total{kind="relay",outcome="nacked"}`, "3x120"}, {`composerp_publisher_messages_total{kind="relay",outcome="confirmed"}`, "0+10x120"}},
	},
	{
		Name: "ComposerpDrainBeyondTarget", Severity: SeverityTicket, For: 10 * time.Minute,
		Expr:    drainTime("5m") + " > on (worker) " + poolByWorker("composerp_pool_drain_target_seconds"),
		Summary: "The backlog of {{ $labels.worker }} takes longer than the autoscaler's target",
		Do:      "composerp autoscale explain {{ $labels.worker }} says why there are no more slots",
		Firing: Case{At: 20 * time.Minute, Labels: map[string]string{"worker": "ledger"},
			Series: []Series{{depth + ledgerQueue, "9000x120"}, {handledSeries, "0+600x120"}, {`composerp_pool_drain_target_seconds{queue="ledger"}`, "60x120"}}},
		Quiet: []Series{{depth + ledgerQueue, "500x120"}, {handledSeries, "0+600x120"}, {`composerp_pool_drain_target_seconds{queue="ledger"}`, "60x120"}},
	},
	{
		Name: "ComposerpDiskFilling", Severity: SeverityPage, For: 15 * time.Minute,
		// A rate of a few minutes says nothing about hours.
		Expr: `predict_linear(rabbitmq_disk_space_available_bytes[1h], 6 * 3600) < rabbitmq_disk_space_available_limit_bytes` +
			` and rabbitmq_disk_space_available_bytes offset 30m`,
		Summary: "At the rate of the last hour the broker's disk reaches its limit within six hours, and publishers are blocked then",
		Do:      "find the queue that grows on the dashboard Fleet; run its worker, or make room on the disk",
		Firing: Case{At: 90 * time.Minute, Labels: map[string]string{"instance": "a"},
			Series: []Series{{`rabbitmq_disk_space_available_bytes{instance="a"}`, "100000-500x180"}, {`rabbitmq_disk_space_available_limit_bytes{instance="a"}`, "1000x180"}}},
		Quiet: []Series{{`rabbitmq_disk_space_available_bytes{instance="a"}`, "100000-5x180"}, {`rabbitmq_disk_space_available_limit_bytes{instance="a"}`, "1000x180"}},
	},
	{
		Name: "ComposerpPublisherBlocked", Severity: SeverityPage, For: time.Minute,
		Expr:    `max by (instance) (rabbitmq_alarms_memory_used_watermark == 1 or rabbitmq_alarms_free_disk_space_watermark == 1)`,
		Summary: "The broker {{ $labels.instance }} blocks publishers because of its memory or its disk",
		Do:      "composerp doctor says which; consumers go on, and the log keeps what is not published",
		Firing: Case{At: 5 * time.Minute, Labels: map[string]string{"instance": "a"},
			Series: []Series{{`rabbitmq_alarms_memory_used_watermark{instance="a"}`, "0x120"}, {`rabbitmq_alarms_free_disk_space_watermark{instance="a"}`, "1x120"}}},
		Quiet: []Series{{`rabbitmq_alarms_memory_used_watermark{instance="a"}`, "0x120"}, {`rabbitmq_alarms_free_disk_space_watermark{instance="a"}`, "0x120"}},
	},
	{
		Name: "ComposerpDrift", Severity: SeverityTicket, For: 5 * time.Minute,
		Expr:    `max by (kind) (composerp_watchdog_problem{kind=~"topology|mismatch|policy"}) > 0`,
		Summary: "The broker's topology or policies differ from what the fleet wants ({{ $labels.kind }})",
		Do:      "composerp topology diff says what differs and what it does",
		Firing: Case{At: 10 * time.Minute, Labels: map[string]string{"kind": "policy"},
			Series: []Series{{`composerp_watchdog_problem{kind="policy"}`, "1x120"}}},
		Quiet: []Series{{`composerp_watchdog_problem{kind="policy"}`, "0x120"}, {`composerp_watchdog_problem{kind="unrouted"}`, "1x120"}},
	},
	{
		Name: "ComposerpProblem", Severity: SeverityTicket, For: 5 * time.Minute,
		Expr:    `max by (kind) (composerp_watchdog_problem{kind!~"topology|mismatch|policy"}) > 0`,
		Summary: "The watchdog sees a problem of the kind {{ $labels.kind }}",
		Do:      "composerp doctor names it, and says what to do",
		Firing: Case{At: 10 * time.Minute, Labels: map[string]string{"kind": "unrouted"},
			Series: []Series{{`composerp_watchdog_problem{kind="unrouted"}`, "1x120"}}},
		Quiet: []Series{{`composerp_watchdog_problem{kind="unrouted"}`, "0x120"}, {`composerp_watchdog_problem{kind="policy"}`, "1x120"}},
	},
	{
		Name: "ComposerpDependencyAway", Severity: SeverityTicket, For: 15 * time.Minute, Expr: `max(composerp_open_circuits) > 0`,
		Summary: "A supplier or a webhook has been away for a quarter of an hour: what is for it waits",
		Do:      "composerp doctor names it, with its last answer",
		Firing:  Case{At: 30 * time.Minute, Series: []Series{{"composerp_open_circuits", "1x120"}}},
		Quiet:   []Series{{"composerp_open_circuits", "0x120"}},
	},
	{
		Name: "ComposerpSlotsNotRunning", Severity: SeverityTicket, For: 5 * time.Minute,
		Expr:    `max by (queue) (composerp_pool_desired) > max by (queue) (composerp_pool_running) unless max by (queue) (composerp_pool_paused) == 1`,
		Summary: "Fewer slots of {{ $labels.queue }} run than are desired",
		Do:      "composerp worker describe {{ $labels.queue }} says which node lacks them and why",
		Firing: Case{At: 10 * time.Minute, Labels: map[string]string{"queue": "ledger"},
			Series: []Series{{`composerp_pool_desired{queue="ledger"}`, "4x120"}, {`composerp_pool_running{queue="ledger"}`, "2x120"}}},
		Quiet: []Series{{`composerp_pool_desired{queue="ledger"}`, "4x120"}, {`composerp_pool_running{queue="ledger"}`, "4x120"},
			{`composerp_pool_desired{queue="lots"}`, "4x120"}, {`composerp_pool_running{queue="lots"}`, "0x120"}, {lotsPaused, "1x120"}},
	},
	{
		Name: "ComposerpAuditFailing", Severity: SeverityPage, Expr: `max(composerp_audit_findings) > 0`,
		Summary: "The last audit has findings: something is lost, applied twice, or does not add up",
		Do:      "composerp audit names each finding and what to do",
		Firing:  Case{At: time.Hour, Series: []Series{{"composerp_audit_findings", "0x30 2x120"}}},
		Quiet:   []Series{{"composerp_audit_findings", "0x120"}},
	},
	{
		Name: "ComposerpAuditOld", Severity: SeverityTicket, Expr: fmt.Sprintf(`max(composerp_audit_unproven_seconds) > %g * 3600`, UnprovenFor.Hours()),
		Summary: fmt.Sprintf("The log has gone on for more than %g hours without an audit that found nothing wrong", UnprovenFor.Hours()),
		Do:      "run composerp audit; one that finds something leaves no proof, and says what to do",
		Firing:  Case{At: time.Hour, Series: []Series{{"composerp_audit_unproven_seconds", "129000+60x180"}}},
		Quiet:   []Series{{"composerp_audit_unproven_seconds", "0+60x180"}},
	},
	{
		Name: "ComposerpRebuildStanding", Severity: SeverityTicket, Expr: fmt.Sprintf(`max by (projection) (composerp_projection_rebuild_still_seconds) > %g`, StandingFor.Seconds()),
		Summary: "The rebuild of the read model {{ $labels.projection }} has not moved for more than an hour, and keeps each tick of the log since then",
		Do:      "composerp projections rebuild {{ $labels.projection }} goes on with it; projections switch or cancel ends it",
		Firing: Case{At: 2 * time.Hour, Labels: map[string]string{"projection": "stockview"},
			Series: []Series{{`composerp_projection_rebuild_still_seconds{projection="stockview"}`, "0+60x180"}}},
		Quiet: []Series{{`composerp_projection_rebuild_still_seconds{projection="stockview"}`, "0 60 0x180"}, {`composerp_projection_rebuild_still_seconds{projection="positions"}`, "0x180"}},
	},
	{
		Name: "ComposerpProcessStuck", Severity: SeverityTicket, For: 5 * time.Minute, Expr: `max by (process) (composerp_process_stuck) > 0`,
		Summary: "An instance of the process {{ $labels.process }} does not go on: its timer fails or is overdue",
		Do:      "composerp process list --stuck says which and why",
		Firing:  Case{At: time.Hour, Labels: map[string]string{"process": "approval"}, Series: []Series{{`composerp_process_stuck{process="approval"}`, "0x10 1x100"}}},
		Quiet:   []Series{{`composerp_process_stuck{process="approval"}`, "0 0 1 0x100"}},
	},
	{
		Name: "ComposerpTargetDown", Severity: SeverityTicket, For: 5 * time.Minute, Expr: `up{job=~"composerp.*|rabbitmq.*"} == 0`,
		Summary: "{{ $labels.instance }} ({{ $labels.job }}) does not answer: alerts that need its metrics are silent",
		Do:      "see whether the process runs, and whether Prometheus reaches it",
		Firing: Case{At: 10 * time.Minute, Labels: map[string]string{"job": "rabbitmq", "instance": "a"},
			Series: []Series{{`up{job="rabbitmq",instance="a"}`, "0x120"}}},
		Quiet: []Series{{`up{job="rabbitmq",instance="a"}`, "1x120"}, {`up{job="other",instance="b"}`, "0x120"}},
	},
}
