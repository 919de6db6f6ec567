package cli_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
)

// databaseOnly is an environment without a broker: master data needs none.
func newDatabaseOnly(t *testing.T) *environment {
	t.Helper()
	h := &environment{T: t, dir: t.TempDir(), database: storetest.URL(t)}
	h.env = append(cleanEnv(), "COMPOSERP_DATABASE_URL="+h.database)
	return h
}

// imported imports a file and gives the counts that it reports.
func (h *environment) imported(args ...string) (rows int, w masterdata.Written) {
	h.Helper()
	var report struct {
		Rows int
		masterdata.Written
	}
	r := h.ok(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		h.Fatalf("%v in %s", err, r.out)
	}
	return report.Rows, report.Written
}

// Nothing of a file is written while a line of it is wrong, and all that is wrong is told at once.
func TestBadFilesOfMasterData(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	many := "itemId,name\n" + strings.Repeat("cup,a cup\n", 2)
	for name, c := range map[string]struct{ kind, content, want string }{
		"number":    {"item", "itemId,pack\ncup,6\npot,six\n", `bad.csv line 3: pack: want a number, got "six"`},
		"range":     {"supplier", "supplierId,leadTimeDays\nacme,400\n", "bad.csv line 2: leadTimeDays: want 0 to 365, got 400"},
		"days":      {"supplier", "supplierId,leadTimeDays\nacme,3.5\n", `bad.csv line 2: leadTimeDays: want a whole number of days, got "3.5"`},
		"missing":   {"supplier", "supplierId,name\nacme,Acme\n", "bad.csv line 2: leadTimeDays: missing: a supplier's lead time must be known"},
		"key":       {"item", "name\na cup\n", "bad.csv line 2: itemId: missing"},
		"zone":      {"location", "locationId,timezone\nLON,London\n", `bad.csv line 2: timezone: want an IANA name such as Europe/London, got "London"`},
		"supplier":  {"rule", "itemId,locationId,supplierId\na,LON,\ncup,LON,unknown\n", `bad.csv line 3: supplierId: tenant default has no supplier "unknown"; set the supplier first`},
		"two ways":  {"rule", "itemId,locationId,orderUpTo,orderQuantity\ncup,LON,5,5\n", "bad.csv line 2: orderQuantity: want either orderQuantity or orderUpTo, got both"},
		"all lines": {"item", "itemId,pack\na,x\nb,2\nc,-1\nd,\"1\"\n", "bad.csv line 2: pack: want a number, got \"x\"\n|bad.csv line 4: pack: want more than 0, got -1\ncomposerp: bad.csv: 2 bad lines; nothing was written"},
		"enough":    {"item", "itemId,pack\n" + strings.Repeat("a,x\n", 30), "composerp: bad.csv: at least 10 bad lines; nothing was written"},
		"twice":     {"item", many, "bad.csv line 3: the item of line 2 again; nothing was written"},
		"column":    {"rule", "itemId,locationId,reorder_pont\n", `bad.csv: unknown column "reorder_pont"; did you mean "reorderPoint"?`},
		"columns":   {"item", "itemId,colour\n", `bad.csv: unknown column "colour"; there are tenantId, itemId, name, unit, pack, unitCost`},
		"semicolon": {"item --delimiter ,", "itemId;name\n", `bad.csv: unknown column "itemId;name"; is another character the --delimiter?`},
		"decimal":   {"item", "itemId,unitCost\ncup,\"12,50\"\n", `bad.csv line 2: unitCost: want a number, got "12,50"; a number with --decimal ','`},
		"point":     {"item --decimal ,", "itemId,unitCost\ncup,12.50\n", `bad.csv line 2: unitCost: want a number, got "12.50"; a number with --decimal '.'`},
		"both":      {"item", "itemId,unitCost\ncup,\"1.250,5\"\n", `got "1.250,5"; a number with --decimal ',' --thousands '.'`},
		"behind":    {"item", "itemId,name\ncup,a cup,x\n", "bad.csv line 2: want 2 fields as in the header, got 3"},
		"same":      {"item", "itemId,name,NAME\n", `bad.csv: "name" and "NAME" are the same column`},
		"short":     {"item", "itemId,name\ncup\n", "bad.csv line 2: want 2 fields as in the header, got 1"},
		"count":     {"stock", "itemId,locationId,quantity\ncup,LON,-1\n", "bad.csv line 2: quantity: want at least 0, got number -1"},
		"no count":  {"stock", "itemId,locationId\ncup,LON\n", "bad.csv line 2: quantity: missing"},
		"virtual":   {"stock", "itemId,locationId,quantity\ncup,@loss,1\n", `bad.csv line 2: locationId: "@loss": names that begin with @ are the ledger's own`},
		"long id":   {"stock", "itemId,locationId,quantity\n" + strings.Repeat("x", 65) + ",LON,1\n", "bad.csv line 2: itemId: want"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &environment{T: t, dir: t.TempDir(), database: h.database, env: h.env}
			h.file("bad.csv", c.content)
			r := h.run(append(append(strings.Fields(c.kind)[:1:1], "import"), append(strings.Fields(c.kind)[1:], "bad.csv")...)...)
			if r.code != 1 || r.out != "" {
				t.Errorf("exit %d, %s", r.code, r.out)
			}
			for _, want := range strings.Split(c.want, "|") {
				if !strings.Contains(r.errors, want) {
					t.Errorf("want\n%s, got\n%s", want, r.errors)
				}
			}
		})
	}
	const rows = `SELECT (SELECT count(*) FROM item) + (SELECT count(*) FROM location) + (SELECT count(*) FROM supplier) +
		(SELECT count(*) FROM replenishment_rule) + (SELECT count(*) FROM event_log)`
	if n := storetest.Value[int](t, h.database, rows); n != 0 {
		t.Errorf("%d rows were written", n)
	}
}

func TestWrongUseOfMasterData(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	for line, want := range map[string]string{
		"item import":                                          "name one file to import: composerp item import FILE",
		"item import a.csv b.csv":                              "name one file to import",
		"item set --item cup":                                  "nothing to set: name at least one of --name, --unit, --pack, --unit-cost",
		"item import x.csv --decimal ;":                        `--decimal: want "." or ",", got ";"`,
		"item import x.csv --delimiter ab":                     `--delimiter: want one character such as ; or |, or tab, got "ab"`,
		"item import x.csv --columns a,a":                      "--columns: want the names of the columns, each once",
		"stock import x.csv --negatives minus":                 `--negatives: want "6-" or "(6)", got "minus"`,
		"item set cup --pack 6":                                "`composerp item set` takes no argument, got \"cup\"; it is named by --item",
		"item set --pack 6":                                    "--item is missing: which item is it?",
		"item set --item cup --pack 0":                         "--pack: want more than 0, got 0",
		"item set --item cup --pck 6":                          `unknown flag --pck; did you mean "--pack"?`,
		"item list cup":                                        "takes no argument",
		"item list --limit -1":                                 "--limit -1: want 0 or more",
		"item list -o yaml":                                    "--output \"yaml\": want table or json",
		"item lst":                                             `no command "lst"; did you mean "list"?`,
		"rule set --item cup --location LON --mode manual":     `--mode: want fixed or auto, got "manual"`,
		"rule set --item cup --location LON --supplier no":     `--supplier: tenant default has no supplier "no"`,
		"rule set --item c --location L --cover-days 1 --at x": `--at "x": want a time such as 2026-03-09T08:00:00Z`,
		"supplier set --supplier acme --lead-time-days 3 --endpoint acme.example": "--endpoint: want an http or https URL",
		"tenant set --approval-limit many":                                        `--approval-limit: want a number, got "many"`,
		"tenant import x.csv":                                                     `no command "import"`,
		"stock imprt x.csv":                                                       `no command "imprt"; did you mean "import"?`,
		"stock import":                                                            "name one file to import: composerp stock import FILE",
		"stock import x.csv --at yesterday":                                       `--at "yesterday": want a time`,
	} {
		r := h.run(strings.Fields(line)...)
		if r.code != 64 || !strings.Contains(r.errors, want) || r.out != "" {
			t.Errorf("composerp %s: exit %d, want 64 and\n%s, got\n%s%s", line, r.code, want, r.errors, r.out)
		}
	}
	for line, code := range map[string]int{"item import absent.csv": 1, "item import absent.xlsx": 1, "item list --database-url postgres://127.0.0.1:1/x": 69} {
		if r := h.run(strings.Fields(line)...); r.code != code {
			t.Errorf("composerp %s: exit %d, want %d: %s", line, r.code, code, r.errors)
		}
	}
}

// A file of several batches, compressed: new, then unchanged, then what differs; and what list shows, import takes.
func TestManyRulesAreImported(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	const n = 1201
	write := func(name string, threshold func(i int) int) {
		var plain bytes.Buffer
		w := gzip.NewWriter(&plain)
		fmt.Fprintln(w, "Tenant_ID,Item ID,LOCATION-ID,lowStockThreshold")
		for i := range n {
			fmt.Fprintf(w, "shop,i%d,LON,%d\n", i, threshold(i))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		h.file(name, plain.String())
	}
	write("rules.csv.gz", func(int) int { return 5 })
	write("more.csv.gz", func(i int) int { return 5 + max(0, i-(n-3)) })
	for _, step := range []struct {
		file string
		want masterdata.Written
		said int
	}{
		{"rules.csv.gz", masterdata.Written{New: n}, n}, {"rules.csv.gz", masterdata.Written{Unchanged: n}, n},
		{"more.csv.gz", masterdata.Written{Changed: 2, Unchanged: n - 2}, n + 2}, {"more.csv.gz", masterdata.Written{Unchanged: n}, n + 2},
	} {
		if rows, w := h.imported("rule", "import", step.file); rows != n || w != step.want {
			t.Errorf("%s: %d rows, %+v, want %+v", step.file, rows, w, step.want)
		}
		if said := storetest.Value[int](t, h.database, `SELECT count(*) FROM event_log WHERE type = 'RULE_CHANGED'`); said != step.said {
			t.Errorf("RULE_CHANGED was said %d times, want %d", said, step.said)
		}
	}
	r := h.ok("rule", "list", "-o", "json", "--tenant", "shop")
	var rules []json.RawMessage
	if err := json.Unmarshal([]byte(r.out), &rules); err != nil || len(rules) != 1000 || !strings.Contains(r.errors, "the first 1,000 rules; --limit 0 shows all") {
		t.Errorf("%v, %d rules are listed, and said is %s", err, len(rules), r.errors)
	}
	var lines bytes.Buffer
	for _, rule := range rules {
		if err := json.Compact(&lines, rule); err != nil {
			t.Fatal(err)
		}
		lines.WriteByte('\n')
	}
	h.file("listed.ndjson", lines.String())
	if rows, w := h.imported("rule", "import", "listed.ndjson"); rows != 1000 || w != (masterdata.Written{Unchanged: 1000}) {
		t.Errorf("what was listed is imported as %d rows, %+v", rows, w)
	}
}

// What has no column stays; an empty value takes it away; set changes what it names.
func TestMasterDataChangesInParts(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	one := func() masterdata.Item {
		var items []masterdata.Item
		if err := json.Unmarshal([]byte(h.ok("item", "list", "-o", "json").out), &items); err != nil || len(items) != 1 {
			t.Fatalf("%v, %+v", err, items)
		}
		return items[0]
	}
	h.ok("item", "import", h.file("a.csv", "itemId,name,pack,unitCost\ncup,a cup,6,1.5\n"))
	h.ok("item", "import", h.file("b.csv", "itemId,name\ncup,a mug\n"))
	if i := one(); i.Name != "a mug" || i.Pack.String() != "6" || i.UnitCost.String() != "1.5" || i.Incomplete {
		t.Errorf("after an import of names the item is %+v", i)
	}
	h.ok("item", "import", h.file("c.csv", "itemId,pack,unitCost\ncup,,\n"))
	if i := one(); i.Name != "a mug" || i.Pack.String() != "1" || i.UnitCost != nil {
		t.Errorf("after an import of empty values the item is %+v", i)
	}
	h.ok("item", "set", "--item", "cup", "--unit-cost", "2")
	h.ok("item", "set", "--item", "cup", "--name", "")
	if i := one(); i.Name != "" || i.UnitCost.String() != "2" || !i.Incomplete {
		t.Errorf("after two sets the item is %+v", i)
	}
	// A password is kept and never shown.
	const endpoint = "https://me:pa%20ss@acme.example/orders"
	set := h.ok("supplier", "set", "--supplier", "acme", "--lead-time-days", "3", "--endpoint", endpoint).out + h.ok("supplier", "set", "--supplier", "acme", "--name", "Acme").out
	if shown := set + h.ok("supplier", "list").out + h.ok("supplier", "list", "-o", "json").out; strings.Contains(shown, "pa") || strings.Count(shown, "https://me:xxxxx@acme.example/orders") != 4 {
		t.Errorf("the password is shown: %s", shown)
	}
	if got := storetest.Value[string](t, h.database, `SELECT endpoint FROM supplier`); got != endpoint {
		t.Errorf("the endpoint is %s", got)
	}
	if got := storetest.Value[string](t, h.database, `SELECT tenant_id FROM item`); got != "default" {
		t.Errorf("the item belongs to %s", got)
	}
}

// What changes the log, the stock or the broker by command is in the operator log; dry runs are not.
func TestOtherChangesInTheOperatorLog(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	path := h.file("count.csv", "itemId,locationId,quantity\ncup,LON,3\n")
	h.ok("topology", "apply", "--operator", "ann", "--reason", "repaired")
	rabbitmqtest.Bind(t, h.broker, topology.BindingSpec{Exchange: topology.Events, Queue: "composerp.ledger", RoutingKey: "inventory.gone"})
	h.ok("topology", "unbind", "--dry-run")
	h.ok("topology", "unbind")
	h.ok("stock", "import", "--dry-run", path)
	h.ok("stock", "import", path)
	h.ok("republish", "--dry-run", "--now")
	h.ok("republish", "--now", "--consumer", "ledger")
	h.ok("epoch", "begin") // changes nothing
	h.ok("epoch", "begin", "--force")
	var entries []struct{ Operator, Action, Subject, Reason string }
	if err := json.Unmarshal([]byte(h.ok("log", "operator", "-o", "json").out), &entries); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, strings.TrimSpace(e.Action+" "+e.Subject))
	}
	slices.Reverse(got)
	want := []string{"topology apply", "topology unbind", "stock import count.csv", "republish ledger", "epoch begin 2"}
	if !slices.Equal(got, want) {
		t.Errorf("the operator log has %q, want %q", got, want)
	} else if first := entries[len(entries)-1]; first.Operator != "ann" || first.Reason != "repaired" {
		t.Errorf("the first entry is %+v", first)
	}
	// The broker is repaired without an entry, and says so; the log is not changed without one.
	storetest.Exec(t, h.database, `ALTER TABLE operator_log ADD CONSTRAINT refused CHECK (operator <> 'bob')`)
	if r := h.ok("topology", "apply", "--operator", "bob"); !strings.Contains(r.errors, "the operator log has no entry of this") {
		t.Errorf("an apply without an entry says %s", r.errors)
	}
	for _, command := range [][]string{{"stock", "import", "--at", "2026-02-09T12:00:00Z", path}, {"republish", "--now"}} {
		if r := h.run(append(command, "--operator", "bob")...); r.code == 0 {
			t.Errorf("%q succeeds without an entry", command)
		}
	}
	if n := storetest.Value[int](t, h.database, `SELECT count(*) FROM event_log`); n != 1 {
		t.Errorf("%d counts are in the log, want the first alone", n)
	}
}

// Each change of master data by command is in the operator log, what changes nothing is not, and no password is.
func TestMasterDataInTheOperatorLog(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	set := []string{"supplier", "set", "--supplier", "acme", "--lead-time-days", "2", "--operator", "ann", "--reason", "moved"}
	h.ok(append(set, "--endpoint", "https://ann:s3cret@acme.example/orders")...)
	h.ok(set...) // changes nothing
	h.ok("supplier", "set", "--supplier", "acme", "--lead-time-days", "3", "--operator", "bob")
	if r := h.run("supplier", "set", "--supplier", "acme", "--lead-time-days", "400"); r.code == 0 {
		t.Error("a lead time of 400 days is taken")
	}
	path := h.file("items.csv", "itemId,name\ncup,a cup\n")
	h.ok("item", "import", path, "--dry-run")
	h.ok("item", "import", path)
	h.ok("item", "import", path) // changes nothing
	out := h.ok("log", "operator", "-o", "json").out
	var entries []struct {
		Operator, Action, Subject, Reason string
		Before, After                     map[string]any
	}
	if err := json.Unmarshal([]byte(out), &entries); err != nil || len(entries) != 3 {
		t.Fatalf("want 3 entries, got %v in %s", err, out)
	}
	newest, second, first := entries[0], entries[1], entries[2]
	if first.Operator != "ann" || first.Reason != "moved" || first.Subject != "default acme" || first.Before != nil || first.After["leadTimeDays"] != 2.0 {
		t.Errorf("the first entry is %+v", first)
	}
	if second.Operator != "bob" || second.Before["leadTimeDays"] != 2.0 || second.After["leadTimeDays"] != 3.0 {
		t.Errorf("the second entry is %+v", second)
	}
	if newest.Action != "item import" || newest.Subject != "items.csv" || newest.After["new"] != 1.0 {
		t.Errorf("the newest entry is %+v", newest)
	}
	if strings.Contains(out, "s3cret") || !strings.Contains(out, "acme.example") {
		t.Errorf("the log has the password, or not the endpoint: %s", out)
	}
	if r := h.ok("log", "operator", "--by", "bob", "--action", "supplier"); strings.Count(r.out, "\n") != 2 || !strings.Contains(r.out, "supplier set") {
		t.Errorf("of bob's changes of suppliers the log has\n%s", r.out)
	}
}
