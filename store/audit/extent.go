package audit

import (
	"fmt"
	"regexp"

	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// extent is what a check covers: everything, or what is new since a checkpoint. A check is written once, as a text
// with an extent in it. The whole log is best compared with whole tables by joins; what is new since a checkpoint is
// little, and each event is looked up by key, however large the tables are and whatever the planner estimates.
type extent struct {
	since bool
	// fresh is a condition on event_log e: the events to check.
	fresh string
	// each keeps a lateral lookup a lookup by key: the planner cannot turn it into a join.
	each string
	// lines are the movements to check, as a table. Movements stay when the log is archived: implied are those whose
	// events the log has, reported those whose INVENTORY_UPDATED it has.
	lines, implied, reported string
	// base are the positions at the checkpoint, as a table: the lines continue from them.
	base string
}

var everything = extent{
	fresh: `true`,
	lines: `movement`,
	// An event from outside has its position in admission; a position's movements are reported in their order.
	implied: `(SELECT m.* FROM movement m WHERE {archived} = 0 OR NOT EXISTS (SELECT FROM admission a WHERE a.event_id = m.event_id AND a.seq < {archived}))`,
	reported: `(SELECT m.* FROM movement m LEFT JOIN (SELECT p.id, o.sequence FROM log_opening o JOIN position p USING (tenant_id, item_id, location_id)) o ON o.id = m.position_id
               WHERE o.id IS NULL OR m.sequence > o.sequence)`,
	base: `(SELECT 0::bigint AS position_id, 0::bigint AS sequence, 0::numeric AS on_hand WHERE false)`,
}

// A movement is as old as its INVENTORY_UPDATED, and so found without its own index: by the events that report or
// imply it.
var sinceCheckpoint = extent{
	since: true,
	fresh: `(e.seq > {floor} AND NOT ` + eventlog.SeenBySQL(`{epoch}`, `{since}`) + `)`,
	each:  `OFFSET 0`,
	lines: movedSince, implied: movedSince, reported: movedSince,
	base: `audit_position`,
}

const movedSince = `(SELECT m.* FROM audit_moved w CROSS JOIN LATERAL (SELECT * FROM movement m WHERE m.event_id = w.event_id OFFSET 0) m WHERE w.checkpoint = {now})`

// only returns the text for an audit since a checkpoint, "" for a full one.
func (w extent) only(text string) string {
	if w.since {
		return text
	}
	return ""
}

// either returns one of two texts.
func (w extent) either(whole, since string) string {
	if w.since {
		return since
	}
	return whole
}

// carriedOver are the events that the checkpoint left open for consumers, as rows of the log.
func carriedOver(consumers string) string {
	return `SELECT e.* FROM (SELECT DISTINCT o.seq FROM audit_open o WHERE o.checkpoint = {before} AND o.consumer IN (` + consumers + `) AND o.seq IS NOT NULL) o
        CROSS JOIN LATERAL (SELECT * FROM event_log e WHERE e.seq = o.seq OFFSET 0) e`
}

// settled is a condition: the event was published before the audit began.
func settled(e string) string {
	return `({settled} IS NULL OR ` + e + `.epoch < {settledEpoch} OR ` + e + `.epoch = {settledEpoch} AND pg_visible_in_snapshot(` + e + `.tx, {settled}))`
}

// auditTypes are the types of the marks that a text may have for its parameters.
var auditTypes = map[string]string{
	"since": "pg_snapshot", "epoch": "int", "floor": "bigint", "before": "bigint", "now": "bigint", "settled": "pg_snapshot", "settledEpoch": "int",
	"consumers": "text[]", "fewest": "bigint[]", "nowhere": "bigint", "admissionEnd": "tid", "movementEnd": "tid", "archived": "bigint",
}

// namedStatement is a statement and the names of its parameters, in order.
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

// variants are a check's two statements.
type variants struct{ whole, since namedStatement }

func twoVariants(text func(w extent) string) variants {
	return variants{whole: marked(text(everything)), since: marked(text(sinceCheckpoint))}
}

// oneVariant is for checks that always cover everything: states, which grow with the catalogue and not with the log.
func oneVariant(text string) variants {
	s := marked(text)
	return variants{whole: s, since: s}
}
