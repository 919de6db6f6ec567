package monitoring

// Dashboards are all of them, in the order in which they are looked at.
var Dashboards = []Dashboard{overview, oneWorker, logAndRelay, deadLetters, scaling, business}

var overview = Dashboard{
	Name: "overview", Title: "Fleet", Description: "Whether events flow, where they do not, and why.",
	Rows: []Row{
		{"Do events flow?", []Panel{
			{Title: "Oldest unpublished event", Unit: Seconds, Number: true, Limit: 60, Query: oldestUnpublished,
				Description: "Age of the oldest event in the log that the relay has not published."},
			{Title: "Handled", Unit: PerSecond, Number: true, Query: perSecond(`composerp_worker_messages_total{outcome="handled"}`),
				Description: "Messages that all workers handle in a second."},
			{Title: "Waiting", Unit: Count, Number: true, Query: sumBy(depth + ofWorkers),
				Description: "Messages in the workers' queues, those in hand included."},
			{Title: "Dead letters", Unit: Count, Number: true, Limit: 1, Query: sumBy(depth + ofDead),
				Description: "Messages in the dead-letter queues, which wait for a person."},
			{Title: "Problems", Unit: Count, Number: true, Limit: 1, Query: `sum(max by (kind) (composerp_watchdog_problem))`,
				Description: "Problems that the watchdog sees now; composerp doctor explains them."},
			{Title: "Processes without an answer", Unit: Count, Number: true, Limit: 1, Query: `sum(1 - up{job=~"composerp.*|rabbitmq.*"})`,
				Description: "Scraped processes of the fleet and the broker that do not answer."},
		}},
		{"Where?", []Panel{
			{Title: "Handled by worker", Unit: PerSecond, Legend: "worker", Query: perSecond(`composerp_worker_messages_total{outcome="handled"}`, "worker"),
				Description: "Messages that each worker handles in a second."},
			{Title: "Waiting by worker", Unit: Count, Legend: "worker", Query: sumByWorker(depth + ofWorkers),
				Description: "Messages in each worker's queue and lanes, those in hand included."},
			{Title: "Consumers by worker", Unit: Count, Legend: "worker", Query: sumByWorker("rabbitmq_detailed_queue_consumers" + ofWorkers),
				Description: "Consumers that the broker sees on each worker's queue and lanes."},
		}},
		{"Why?", []Panel{
			{Title: "Outcomes that are no success", Unit: PerSecond, Legend: "outcome", Query: perSecond(`composerp_worker_messages_total{outcome!~"handled|duplicate"}`, "outcome"),
				Description: "Messages in a second that were retried, deferred, parked, quarantined or became dead letters."},
			{Title: "Problems by kind", Unit: Count, Legend: "kind", Query: `max by (kind) (composerp_watchdog_problem)`,
				Description: "Problems that the watchdog sees, by kind."},
			{Title: "Time from an event to its effect", Unit: Seconds, Legend: "queue", Query: quantile("0.99", "composerp_delivery_seconds", "", "queue"),
				Description: "Time in which 99 % of the events have their effect at each worker; composerp events late lists those that were late."},
			{Title: "Time of a batch", Unit: Seconds, Legend: "worker", Query: quantile("0.99", "composerp_worker_batch_seconds", "", "worker"),
				Description: "Time in which 99 % of a worker's batches are handled and acknowledged."},
		}},
		{"Servers and processes", []Panel{
			{Title: "Free disk of the broker above its limit", Unit: Bytes, Query: `min(rabbitmq_disk_space_available_bytes - rabbitmq_disk_space_available_limit_bytes)`,
				Description: "Space left until the broker blocks publishers, at the node with the least."},
			{Title: "Memory of the broker", Unit: Share, Query: `max(rabbitmq_process_resident_memory_bytes / rabbitmq_resident_memory_limit_bytes)`,
				Description: "Memory of the fullest node as a share of the limit at which it blocks publishers."},
			{Title: "Connections of the broker", Unit: Count, Query: `sum(rabbitmq_connections)`,
				Description: "Connections that all clients have open."},
			{Title: "Memory of the fleet", Unit: Bytes, Legend: "instance", Query: `process_resident_memory_bytes{job="composerp"}`,
				Description: "Resident memory of each process of the fleet."},
			{Title: "Processors of the fleet", Unit: Count, Legend: "instance", Query: `rate(process_cpu_seconds_total{job="composerp"}[$window])`,
				Description: "Processors that each process of the fleet keeps busy."},
			{Title: "Database sessions in use", Unit: Count, Legend: "db_name", Query: sumBy("go_sql_in_use_connections", "db_name"),
				Description: "Sessions of PostgreSQL that each pool of the fleet's processes uses."},
			{Title: "Waiting for a database session", Unit: Seconds, Legend: "db_name", Query: perSecond("go_sql_wait_duration_seconds_total", "db_name"),
				Description: "Time in a second for which callers wait for a session of a pool whose sessions are all in use."},
			{Title: "Versions", Unit: Count, Legend: "version", Query: `count by (version) (composerp_build_info)`,
				Description: "Processes of the fleet by the version they run."},
			{Title: "Goroutines of the fleet", Unit: Count, Legend: "instance", Query: `go_goroutines{job="composerp"}`,
				Description: "Goroutines of each process of the fleet."},
		}},
	},
}

var oneWorker = Dashboard{
	Name: "worker", Title: "One worker", PerWorker: true, Description: "What one worker does, and what waits for it.",
	Rows: []Row{
		{"Work", []Panel{
			{Title: "Messages by outcome", Unit: PerSecond, Legend: "outcome", Query: perSecond(`composerp_worker_messages_total{worker="$worker"}`, "outcome"),
				Description: "Messages in a second, by what became of them."},
			{Title: "Time of a batch, median", Unit: Seconds, Query: quantile("0.5", "composerp_worker_batch_seconds", `{worker="$worker"}`),
				Description: "Time in which half of the batches are handled and acknowledged."},
			{Title: "Time of a batch, 99 %", Unit: Seconds, Query: quantile("0.99", "composerp_worker_batch_seconds", `{worker="$worker"}`),
				Description: "Time in which 99 % of the batches are handled and acknowledged."},
			{Title: "Time from an event to its effect, 99 %", Unit: Seconds, Query: quantile("0.99", "composerp_delivery_seconds", `{queue="$worker"}`),
				Description: "Time from the birth of an event in the log to the commit of its effect, for 99 % of them."},
			{Title: "Where that time goes", Unit: Seconds, Legend: "stage",
				Query:       perSecond(`composerp_delivery_stage_seconds_sum{queue="$worker"}`, "stage") + ` / on () group_left () ` + perSecond(`composerp_delivery_stage_seconds_count{queue="$worker",stage="handling"}`),
				Description: "Time that a delivery spends in each stage on average; composerp events explain-delay shows one event's."},
			{Title: "Messages in a batch", Unit: Count,
				Query:       perSecond(`composerp_worker_batch_size_sum{worker="$worker"}`) + ` / ` + perSecond(`composerp_worker_batch_size_count{worker="$worker"}`),
				Description: "Messages that a batch has on average; one while there is no backlog."},
			{Title: "Last success", Unit: Seconds, Query: `clamp_min(time() - max(composerp_worker_last_success_timestamp_seconds{worker="$worker"}), 0)`,
				Description: "How long ago the worker last handled a message."},
			{Title: "Slots", Unit: Count, Query: `sum(composerp_worker_slots{worker="$worker"})`,
				Description: "Slots that consume, in all processes."},
			{Title: "Busy slots", Unit: Count, Query: `sum(composerp_worker_busy_slots{worker="$worker"})`,
				Description: "Slots that have a batch in hand; the others are idle."},
			{Title: "Paused slots", Unit: Count, Query: `sum(composerp_worker_paused_slots{worker="$worker"})`,
				Description: "Slots that wait because the database or a dependency is unavailable."},
		}},
		{"Queues", []Panel{
			{Title: "Ready", Unit: Count, Legend: "queue", Query: ofWorker(byWorker(depth + "_ready" + ofWorkers)),
				Description: "Messages in the worker's queue or lanes that no consumer has."},
			{Title: "In hand", Unit: Count, Legend: "queue", Query: ofWorker(byWorker(depth + "_unacked" + ofWorkers)),
				Description: "Messages that consumers have and have not acknowledged."},
			{Title: "In retry queues", Unit: Count, Legend: "queue", Query: ofWorker(byWorker(depth + ofRetries)),
				Description: "Messages that are tried again after the delay that their queue's name has."},
			{Title: "Dead letters", Unit: Count, Legend: "queue", Query: ofWorker(byWorker(depth + ofDead)),
				Description: "Messages that wait for a person."},
			{Title: "Time until the queue is empty", Unit: Seconds, Query: ofWorker(drainTime("$window")),
				Description: "Backlog divided by the rate at which the worker handles it now, without new messages."},
			{Title: "Failed timers", Unit: PerSecond, Query: perSecond(`composerp_worker_timer_failures_total{worker="$worker"}`),
				Description: "Failed runs in a second of what the worker does by the clock."},
		}},
	},
}

var logAndRelay = Dashboard{
	Name: "log", Title: "Log and relay", Description: "The way of an event from the log to the broker.",
	Rows: []Row{
		{"Log", []Panel{
			{Title: "Unpublished events", Unit: Count, Query: `max(composerp_log_lag_events)`,
				Description: "Places of the log that the relay has not passed."},
			{Title: "Oldest unpublished event", Unit: Seconds, Query: oldestUnpublished,
				Description: "Age of the oldest event in the log that the relay has not published."},
			{Title: "Oldest event without a tick", Unit: Seconds, Query: oldestUnticked,
				Description: "Age of the oldest event that no tick has seen, and so no reader of the log."},
			{Title: "Log without an audit", Unit: Seconds, Query: `max(composerp_audit_unproven_seconds)`,
				Description: "For how long the log has gone on since an audit last proved that nothing is lost."},
			{Title: "Findings of the last audit", Unit: Count, Limit: 1, Query: `max(composerp_audit_findings)`, Otherwise: `0 * max(composerp_audit_unproven_seconds)`,
				Description: "What the last audit found wrong; 0 before the first."},
			{Title: "Processes", Unit: Count, Legend: "process", Query: `max by (process) (composerp_process_open)`,
				Description: "Instances that go on, such as orders that wait for approval."},
			{Title: "Rebuilds behind", Unit: Count, Legend: "projection", Query: `max by (projection) (composerp_projection_rebuild_behind_events)`,
				Description: "Places of the log that the rebuild of a read model has not read; 0 without a rebuild."},
		}},
		{"Relay", []Panel{
			{Title: "Confirmed", Unit: PerSecond, Query: perSecond(`composerp_relay_confirmed_total`),
				Description: "Events in a second whose publishing the broker has confirmed."},
			{Title: "Time of confirms, 99 %", Unit: Seconds, Query: quantile("0.99", "composerp_relay_confirm_seconds", ""),
				Description: "Time in which 99 % of the pages that the relay publishes are confirmed."},
			{Title: "Leading relays", Unit: Count, Query: `sum(composerp_relay_leading)`,
				Description: "Processes whose relay holds the lease; there is to be one."},
			{Title: "Unpublishable events", Unit: Count, Query: `sum(increase(composerp_relay_unpublishable_total[1h]))`,
				Description: "Events of the last hour that the broker will never take."},
		}},
		{"Publishers", []Panel{
			{Title: "Published", Unit: PerSecond, Legend: "kind", Query: perSecond(`composerp_publisher_messages_total{outcome="confirmed"}`, "kind"),
				Description: "Messages in a second that the broker has confirmed to the relay, to workers (retries, dead letters, lanes) and to the watchdog."},
			{Title: "Not confirmed", Unit: PerSecond, Legend: "outcome", Query: perSecond(`composerp_publisher_messages_total{outcome!="confirmed"}`, "outcome"),
				Description: "Messages in a second that a queue refused (nacked), that no queue took (returned), or whose answer was lost with the session."},
			{Title: "Time of a confirm, 99 %", Unit: Seconds, Legend: "kind", Query: quantile("0.99", "composerp_publisher_confirm_seconds", "", "kind"),
				Description: "Time in which the broker confirms 99 % of the messages."},
			{Title: "Unconfirmed", Unit: Count, Legend: "kind", Query: sumBy("composerp_publisher_in_flight", "kind"),
				Description: "Messages that publishers have accepted and the broker has not answered yet."},
			{Title: "Blocked publishers", Unit: Count, Legend: "kind", Query: sumBy("composerp_publisher_blocked", "kind"),
				Description: "Publishers that the broker blocks now, because of its memory or disk."},
		}},
		{"Broker", []Panel{
			{Title: "Published to the broker", Unit: PerSecond, Query: perSecond(`rabbitmq_global_messages_received_total`),
				Description: "Messages that the broker receives in a second, from all publishers."},
			{Title: "Returned as unroutable", Unit: PerSecond, Query: perSecond(`rabbitmq_global_messages_unroutable_returned_total`),
				Description: "Messages in a second that the broker gave back to their publisher: no queue is bound for them."},
			{Title: "Memory alarm", Unit: Count, Query: `max(rabbitmq_alarms_memory_used_watermark)`,
				Description: "1 while a node blocks publishers because of its memory."},
			{Title: "Disk alarm", Unit: Count, Query: `max(rabbitmq_alarms_free_disk_space_watermark)`,
				Description: "1 while a node blocks publishers because of its disk."},
		}},
		{"Watchdog", []Panel{
			{Title: "Leading watchdogs", Unit: Count, Query: `sum(composerp_watchdog_leading)`,
				Description: "Processes whose watchdog holds the lease; there is to be one."},
			{Title: "Declared again", Unit: Count, Legend: "what", Query: `sum by (what) (increase(composerp_watchdog_repairs_total[1h]))`,
				Description: "Exchanges, queues and bindings of the last hour that were missing."},
			{Title: "Published again", Unit: Count, Query: `sum(increase(composerp_watchdog_republished_total[1h]))`,
				Description: "Messages of the last hour that may have been lost with a queue or a binding."},
		}},
	},
}

var deadLetters = Dashboard{
	Name: "dead-letters", Title: "Dead letters and retries", Description: "What failed, and what is tried again.",
	Rows: []Row{
		{"Dead letters", []Panel{
			{Title: "Dead letters by worker", Unit: Count, Legend: "worker", Query: sumByWorker(depth + ofDead),
				Description: "Messages in each worker's dead-letter queue."},
			{Title: "New dead letters", Unit: PerSecond, Legend: "worker", Query: perSecond(`composerp_worker_messages_total{outcome=~"dead|quarantined"}`, "worker"),
				Description: "Messages in a second that became dead letters, those of quarantined classes included."},
			{Title: "Oldest dead letter", Unit: Seconds, Legend: "queue", Query: `time() - min by (queue) (composerp_dead_letters_oldest_timestamp_seconds)`,
				Otherwise:   zeroOfPools,
				Description: "For how long the oldest dead letter of each worker has waited for a person; 0 where nothing waits."},
			{Title: "Share that fails", Unit: Share, Query: failedShare("1h"),
				Description: "Share of the last hour's messages that became dead letters."},
			{Title: "Unrouted events", Unit: Count, Query: `sum(` + depth + `{queue="composerp.unrouted"})`,
				Description: "Events that no queue was bound for."},
		}},
		{"Retries", []Panel{
			{Title: "Retried", Unit: PerSecond, Legend: "worker", Query: perSecond(`composerp_worker_messages_total{outcome="retried"}`, "worker"),
				Description: "Messages in a second that failed and are tried again."},
			{Title: "Waiting for a retry", Unit: Count, Legend: "worker", Query: sumByWorker(depth + ofRetries),
				Description: "Messages in each worker's retry queues."},
			{Title: "Deferred", Unit: PerSecond, Legend: "worker", Query: perSecond(`composerp_worker_messages_total{outcome="deferred"}`, "worker"),
				Description: "Messages in a second that wait for a dependency."},
			{Title: "Parked", Unit: PerSecond, Legend: "worker", Query: perSecond(`composerp_worker_messages_total{outcome="parked"}`, "worker"),
				Description: "Messages in a second that are kept behind an earlier event of their aggregate."},
		}},
		{"Causes", []Panel{
			{Title: "Open circuits", Unit: Count, Query: `max(composerp_open_circuits)`,
				Description: "Dependencies that are away and get only probes."},
			{Title: "Lone probes", Unit: Count, Query: `max(composerp_lone_probes)`,
				Description: "Open circuits that one call alone has probed in vain for a minute: it may be at fault itself."},
			{Title: "Parked aggregates", Unit: Count, Query: `max(composerp_parked_aggregates)`,
				Description: "Aggregates whose events wait behind one that failed, in queues with lanes."},
			{Title: "Quarantined classes", Unit: Count, Query: `max(composerp_quarantined_classes)`,
				Description: "Classes of failing events that are held back until they are released."},
		}},
	},
}

var scaling = Dashboard{
	Name: "scaling", Title: "Scaling", Description: "Slots that are wanted, slots that run, and whether they suffice.",
	Rows: []Row{
		{"Slots", []Panel{
			{Title: "Desired", Unit: Count, Legend: "queue", Query: `max by (queue) (composerp_pool_desired)`,
				Otherwise:   runningByPool,
				Description: "Slots that each pool should have; of pools that follow flags, the slots that run."},
			{Title: "Running", Unit: Count, Legend: "queue", Query: runningByPool,
				Description: "Slots of each pool that living nodes report as running."},
			{Title: "Without a node", Unit: Count, Legend: "queue", Query: `max by (queue) (composerp_pool_unplaced)`, Otherwise: zeroOfPools,
				Description: "Slots that no node has room for."},
			{Title: "Paused", Unit: Count, Legend: "worker", Query: sumBy("composerp_worker_paused_slots", "worker"),
				Description: "Slots that wait because the database or a dependency is unavailable."},
		}},
		{"Do they suffice?", []Panel{
			{Title: "Time until queues are empty", Unit: Seconds, Legend: "worker", Query: drainTime("$window"),
				Description: "Backlog divided by the rate at which each worker handles it now, without new messages."},
			{Title: "Target of the autoscaler", Unit: Seconds, Legend: "queue", Query: `max by (queue) (composerp_pool_drain_target_seconds)`,
				Otherwise:   zeroOfPools,
				Description: "Time in which the autoscaler wants a backlog handled; 0 for pools that it does not scale."},
			{Title: "Waiting", Unit: Count, Legend: "worker", Query: sumByWorker(depth + ofWorkers),
				Description: "Messages in each worker's queue and lanes, those in hand included."},
			{Title: "Decisions", Unit: Count, Legend: "reason", Query: `sum by (reason) (increase(composerp_scale_decisions_total[1h]))`, Otherwise: `0 * max(composerp_watchdog_leading)`,
				Description: "What the autoscaler has decided in an hour, by what stood behind it: the rule alone, or what held or bounded it."},
		}},
		{"Lanes", []Panel{
			{Title: "Lanes", Unit: Count, Legend: "queue", Query: `max by (queue) (composerp_lanes)`, Otherwise: zeroOfPools,
				Description: "Lanes that a queue is divided into; 0: none."},
			{Title: "Lanes without a node", Unit: Count, Legend: "queue", Query: `max by (queue) (composerp_lanes_unowned)`, Otherwise: zeroOfPools,
				Description: "Lanes that no living node has handled for 30 s: their events wait."},
		}},
	},
}

// Business metrics are what workers handle: each of these handles the events that it is named for alone.
var business = Dashboard{
	Name: "business", Title: "Business", Description: "What the shop does, as the workers see it.",
	Rows: []Row{
		{"The last hour", []Panel{
			lastHour("Movements of stock", "ledger", "Sales, receipts, transfers and counts that were booked."),
			lastHour("Low stock and expiring lots", "alert", "Events that tell of low stock or of lots that expire."),
			lastHour("Orders made", "approval", "Purchase orders that replenishment has made."),
			lastHour("Forecasts made", "analytics", "Forecasts of an item at a location."),
			lastHour("Notifications about orders", "notification", "Events about orders that people were notified of."),
		}},
		{"Sales of the last hour", []Panel{
			{Title: "Units sold", Unit: Count, Query: `sum(increase(composerp_sales_units_total{kind="sale"}[1h]))`,
				Description: "Units that tills have sold, as the ledger booked them."},
			{Title: "Units returned", Unit: Count, Query: `sum(increase(composerp_sales_units_total{kind="return"}[1h]))`,
				Description: "Units that customers have brought back."},
			{Title: "Amount of sales by currency", Unit: Count, Legend: "kind", Query: `sum by (kind) (increase(composerp_sales_amount_total[1h]))`,
				Description: "What customers have paid; unnamed is the currency of the location."},
		}},
		{"What waits", []Panel{
			{Title: "Positions sold out or low", Unit: Count, Legend: "state", Query: `max by (state) (composerp_stock_positions{state!="watched"})`,
				Description: "Positions with a rule that have nothing on hand, and those below their threshold."},
			{Title: "Orders that wait", Unit: Count, Legend: "state", Query: `max by (state) (composerp_purchase_orders)`,
				Description: "Orders that wait for a decision, for their supplier, and for the goods."},
			{Title: "Error of forecasts", Unit: Count, Legend: "kind", Query: `max by (kind) (composerp_forecast_rmsse)`,
				Description: "Scaled error of the last 28 business days, of the forecasts and of a naive one; less is better."},
		}},
	},
}

// Every pool has its number of slots, whatever else is known of it.
const (
	runningByPool = `max by (queue) (composerp_pool_running)`
	zeroOfPools   = `0 * ` + runningByPool
)

func lastHour(title, worker, description string) Panel {
	return Panel{Title: title, Unit: Count, Description: description,
		Query: `sum(increase(composerp_worker_messages_total{worker="` + worker + `",outcome="handled"}[1h]))`}
}

// failedShare is the share of a window's messages that became dead letters.
func failedShare(window string) string {
	total := func(outcomes string) string {
		return `sum(rate(composerp_worker_messages_total{outcome=~"` + outcomes + `"}[` + window + `]))`
	}
	return total("dead|quarantined") + ` / ` + total("handled|dead|quarantined")
}
