package storetest

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Plan is a node of EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON).
type Plan struct {
	NodeType string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Cond     string  `json:"Index Cond"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Filtered float64 `json:"Rows Removed by Filter"`
	Hit      int     `json:"Shared Hit Blocks"`
	Read     int     `json:"Shared Read Blocks"`
	Plans    []Plan  `json:"Plans"`
}

// Walk visits the node and everything below it.
func (p Plan) Walk(visit func(Plan)) {
	visit(p)
	for _, child := range p.Plans {
		child.Walk(visit)
	}
}

// String is a line a node.
func (p Plan) String() string {
	var b strings.Builder
	p.Walk(func(n Plan) {
		fmt.Fprintf(&b, "%s %s %s rows=%v loops=%v filtered=%v buffers=%d cond=%s\n", n.NodeType, n.Relation, n.Index, n.Rows, n.Loops, n.Filtered, n.Hit+n.Read, n.Cond)
	})
	return b.String()
}

// Touched are the tables with the prefix that were really read.
func (p Plan) Touched(prefix string) []string {
	var tables []string
	p.Walk(func(n Plan) {
		if strings.HasPrefix(n.Relation, prefix) && n.Loops > 0 && !slices.Contains(tables, n.Relation) {
			tables = append(tables, n.Relation)
		}
	})
	slices.Sort(tables)
	return tables
}

// Explain runs a statement as a prepared one, with a plan for these parameters or a generic one.
func (p *Env) Explain(mode, query, types string, args ...any) Plan {
	p.Helper()
	conn, err := p.SQL().Conn(context.Background())
	Must(p, err)
	// The connection goes with what it has set: RESET would undo the store's settings too.
	defer func() { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }()
	var texts []string
	for _, a := range args {
		texts = append(texts, fmt.Sprint(a))
	}
	for _, q := range []string{
		`SET plan_cache_mode = ` + mode,
		`PREPARE explained (` + types + `) AS ` + query,
	} {
		MustGet(conn.ExecContext(context.Background(), q))(p)
	}
	var out []byte
	Must(p, conn.QueryRowContext(context.Background(), `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained (`+strings.Join(texts, ", ")+`)`).Scan(&out))
	var plans []struct{ Plan Plan }
	Must(p, json.Unmarshal(out, &plans))
	return plans[0].Plan
}

// Untuned sets PostgreSQL's own planner settings in place of the store's: reading the log should not depend on those.
const Untuned = `; SET random_page_cost = 4; SET enable_seqscan = on`
