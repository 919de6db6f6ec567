package audit

import (
	"fmt"
	"regexp"

	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// auditWay is a way to look: at everything, or at what is new since a checkpoint.
// A check is written once, as a text with a way in it. The whole log is best held
// against whole tables, join by join; what is new since a checkpoint is little,
// and each of its events is looked up by key, however large the tables are and
// whatever the planner believes.
type way struct {
	since bool
	// fresh is a condition on event_log e: events that are to be looked at.
	fresh string
	// each keeps a lateral look a look by key: the planner cannot make a join of it.
	each string
	// lines are the movements to be looked at, as a table.
	lines string
	// base are the positions as they stood at the checkpoint, as a table: what the lines go on from.
	base string
}

var theWhole = way{
	fresh: `true`,
	lines: `movement`,
	base:  `(SELECT 0::bigint AS position_id, 0::bigint AS sequence, 0::numeric AS on_hand WHERE false)`,
}

// A movement is as old as its INVENTORY_UPDATED, and so found without an index of
// its own: by the events that tell of it or imply it.
var sinceTheCheckpoint = way{
	since: true,
	fresh: `(e.seq > {floor} AND NOT ` + eventlog.SeenBySQL(`{epoch}`, `{since}`) + `)`,
	each:  `OFFSET 0`,
	lines: `(SELECT m.* FROM audit_moved w CROSS JOIN LATERAL (SELECT * FROM movement m WHERE m.event_id = w.event_id OFFSET 0) m WHERE w.checkpoint = {now})`,
	base:  `audit_position`,
}

// only is the text where what is new is looked at, and nothing otherwise.
func (w way) only(text string) string {
	if w.since {
		return text
	}
	return ""
}

// either is one text of two.
func (w way) either(whole, since string) string {
	if w.since {
		return since
	}
	return whole
}

// carried are the events that the checkpoint left open for consumers, as rows of the log.
func carried(consumers string) string {
	return `SELECT e.* FROM (SELECT DISTINCT o.seq FROM audit_open o WHERE o.checkpoint = {before} AND o.consumer IN (` + consumers + `) AND o.seq IS NOT NULL) o
        CROSS JOIN LATERAL (SELECT * FROM event_log e WHERE e.seq = o.seq OFFSET 0) e`
}

// settled tells whether an event has had its time: there is nothing of it that was not yet published when the audit began.
func settled(e string) string {
	return `({settled} IS NULL OR ` + e + `.epoch < {settledEpoch} OR ` + e + `.epoch = {settledEpoch} AND pg_visible_in_snapshot(` + e + `.tx, {settled}))`
}

// auditTypes are the types of the marks that a text may have for its parameters.
var auditTypes = map[string]string{
	"since": "pg_snapshot", "epoch": "int", "floor": "bigint", "before": "bigint", "now": "bigint", "settled": "pg_snapshot", "settledEpoch": "int",
	"consumers": "text[]", "fewest": "bigint[]", "nowhere": "bigint", "admissionEnd": "tid", "movementEnd": "tid",
}

// auditStatement is a statement and the names of its parameters, in order.
type namedStatement struct {
	text   pg.Statement
	params []string
}

var auditMark = regexp.MustCompile(`\{([a-z]\w*)\}`)

// marked turns the marks of a text into parameters.
func marked(text string) namedStatement {
	var s namedStatement
	numbers := map[string]int{}
	s.text = pg.SQL(auditMark.ReplaceAllStringFunc(text, func(mark string) string {
		name := mark[1 : len(mark)-1]
		if auditTypes[name] == "" {
			panic("no parameter of an audit is called " + name)
		}
		if numbers[name] == 0 {
			s.params = append(s.params, name)
			numbers[name] = len(s.params)
		}
		return fmt.Sprintf("$%d::%s", numbers[name], auditTypes[name])
	}))
	return s
}

// inWays are a text's two statements.
type inWays struct{ whole, since namedStatement }

func bothWays(text func(w way) string) inWays {
	return inWays{whole: marked(text(theWhole)), since: marked(text(sinceTheCheckpoint))}
}

// inOneWay is for what looks at everything in either way: states, which grow with the catalogue and not with the log.
func inOneWay(text string) inWays {
	s := marked(text)
	return inWays{whole: s, since: s}
}
