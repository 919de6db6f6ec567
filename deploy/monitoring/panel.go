package monitoring

import "strings"

// Unit is what a panel's numbers are, by Grafana's names.
type Unit string

// The units.
const (
	Count     Unit = "short"
	PerSecond Unit = "cps"
	Seconds   Unit = "s"
	Bytes     Unit = "bytes"
	Share     Unit = "percentunit" // 0 to 1
)

// Panel is one query and how it is shown.
type Panel struct {
	Title       string
	Description string // one sentence
	Unit        Unit
	// Query is PromQL. It has $window for the range of a rate, and $worker on a dashboard of one worker.
	Query string
	// Otherwise is a query of the series that stand in for those that Query lacks, such as 0 where nothing waits;
	// empty: none do.
	Otherwise string
	// Legend is the label that tells series apart; empty when there is one series.
	Legend string
	// Number shows the last value alone; from Limit on it is red. A Limit of 0 is none.
	Number bool
	Limit  float64
}

// Whole is the query with what stands in for series that it lacks.
func (p Panel) Whole() string {
	if p.Otherwise == "" {
		return p.Query
	}
	return p.Query + " or " + p.Otherwise
}

// Row is panels that belong together.
type Row struct {
	Title  string
	Panels []Panel
}

// Dashboard is a page of panels.
type Dashboard struct {
	Name        string // of its file and its address
	Title       string
	Description string
	PerWorker   bool // shows one worker, which the reader chooses
	Rows        []Row
}

// Expand puts a window, such as 1m, and a worker in a query's place for them.
func (p Panel) Expand(window, worker string) string {
	return strings.NewReplacer("$window", window, "$worker", worker).Replace(p.Whole())
}

// Queues of the broker by their names, as selectors of the label queue.
const (
	ofWorkers = `{queue=~"composerp[.][^.]+([.]lane[.].+)?",queue!="composerp.unrouted"}`
	ofRetries = `{queue=~"composerp[.].+[.]retry[.].+"}`
	ofDead    = `{queue=~"composerp[.].+[.]dead"}`
)

const depth = "rabbitmq_detailed_queue_messages"

// byWorker gives the series of queues the label worker: the queue's name has it, but for the dead-letter log's.
func byWorker(series string) string {
	return `label_replace(label_replace(` + series + `, "worker", "$1", "queue", "composerp[.]([^.]+).*"), "worker", "deadletterlog", "queue", "composerp[.]dead-letter-log")`
}

// sumByWorker adds up the series of a worker's queues.
func sumByWorker(series string) string { return `sum by (worker) (` + byWorker(series) + `)` }

// ofWorker keeps of series with the label worker the chosen one's.
func ofWorker(series string) string {
	return series + ` and on (worker) composerp_worker_slots{worker="$worker"}`
}

// perSecond is the rate of a counter, added up by labels; none: to one series.
func perSecond(series string, by ...string) string {
	return sumBy(`rate(`+series+`[$window])`, by...)
}

func sumBy(series string, by ...string) string {
	if len(by) == 0 {
		return `sum(` + series + `)`
	}
	return `sum by (` + strings.Join(by, ", ") + `) (` + series + `)`
}

// quantile is a quantile of a histogram, which is named without _bucket.
func quantile(q, histogram, selector string, by ...string) string {
	return `histogram_quantile(` + q + `, ` + perSecond(histogram+`_bucket`+selector, append(by, "le")...) + `)`
}

// drainTime is how long a worker needs for its backlog at the rate of a window; not a number while it has none and
// handles nothing.
func drainTime(window string) string {
	return sumByWorker(depth+ofWorkers) + ` / sum by (worker) (rate(composerp_worker_messages_total[` + window + `]))`
}

// poolByWorker is the number of a pool, from whichever process leads, with its queue's name as the label worker.
func poolByWorker(metric string) string {
	return `max by (worker) (label_replace(` + metric + `, "worker", "$1", "queue", "(.+)"))`
}

// The ages in seconds, at the last scrape, of the oldest event that the relay has not passed, and of the oldest that no
// tick has seen.
var (
	oldestUnpublished = ageOf("composerp_log_oldest_unpublished_timestamp_seconds")
	oldestUnticked    = ageOf("composerp_log_oldest_unticked_timestamp_seconds")
)

func ageOf(metric string) string {
	return `clamp_min(max(timestamp(` + metric + `) - ` + metric + `), 0)`
}
