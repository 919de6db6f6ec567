package cli

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/contracts/catalogue"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/fleet"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/contract"
	"github.com/composerp/composerp/exchange/publishing"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/analytics/business"
	"github.com/composerp/composerp/workers/runtime/audit"
	"github.com/composerp/composerp/workers/runtime/gateway"
	"github.com/composerp/composerp/workers/runtime/processes"
	"github.com/composerp/composerp/workers/runtime/rebuilds"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/runtime/scaler"
	"github.com/composerp/composerp/workers/runtime/stream"
	"github.com/composerp/composerp/workers/runtime/watchdog"
	"github.com/composerp/composerp/workers/worker"
)

// reference are the pages of docs/reference whose tables are generated from the program. A page keeps its own text
// before and behind the two marks.
var reference = map[string]func(t *testing.T) string{
	"settings":    settingsReference,
	"commands":    commandsReference,
	"events":      eventsReference,
	"metrics":     metricsReference,
	"exit-codes":  exitCodesReference,
	"json":        jsonReference,
	"crash-steps": crashStepsReference,
}

const (
	referenceBegin = "<!-- generated: make generate -->\n"
	referenceEnd   = "<!-- end of generated -->\n"
)

func TestReference(t *testing.T) {
	t.Parallel()
	for name, generate := range reference {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := filepath.Join("../docs/reference", name+".md")
			want := strings.ReplaceAll(strings.Trim(generate(t), "\n"), "\n\n\n", "\n\n") + "\n"
			golden.CompareBetween(t, page, referenceBegin, referenceEnd, want)
		})
	}
}

// markdown collects a page.
type markdown struct{ strings.Builder }

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

// table writes the head of a table, row its rows. A vertical bar would end a cell.
func (m *markdown) table(heads ...string) {
	m.row(heads...)
	m.line("|%s", strings.Repeat("---|", len(heads)))
}

func (m *markdown) row(cells ...string) {
	for _, c := range cells {
		m.WriteString(strings.TrimRight("| "+strings.ReplaceAll(strings.ReplaceAll(c, "\n", " "), "|", `\|`), " ") + " ")
	}
	m.line("|")
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

func settingsReference(*testing.T) string {
	var m markdown
	m.table("flag", "environment", "key", "default", "")
	for _, s := range settings.All {
		key, standard := code(s.Key()), code(s.Standard)
		if s.NotInFile {
			key = ""
		}
		if s.Server {
			standard = "from the running `up`"
		}
		m.row(code("--"+s.Name), code(s.Variable()), key, standard, s.Usage)
	}
	return m.String()
}

func exitCodesReference(*testing.T) string {
	var m markdown
	m.table("code", "meaning")
	for _, e := range exit.Codes {
		m.row(fmt.Sprint(e.Code), e.Meaning)
	}
	return m.String()
}

// jsonReference reads what the golden files of -o json have: they are the shapes. A command's files are merged.
func jsonReference(t *testing.T) string {
	var m markdown
	for _, command := range Shows() {
		file := strings.ReplaceAll(command, " ", "_")
		names, _ := filepath.Glob("testdata/*/" + file + ".json")
		more, _ := filepath.Glob("testdata/*/" + file + "_*.json")
		names = append(names, more...)
		fields := map[string][]string{}
		for _, name := range names {
			if !slices.Contains(Shows(), strings.ReplaceAll(strings.TrimSuffix(filepath.Base(name), ".json"), "_", " ")) || filepath.Base(name) == file+".json" {
				collectFields(t, name, fields)
			}
		}
		if len(names) == 0 {
			t.Errorf("no golden file has the shape of `composerp %s -o json`", command)
		}
		m.line("## %s\n", command)
		if len(fields) == 0 {
			m.line("A list; it has no elements in the golden file.\n")
			continue
		}
		m.table("field", "type")
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			m.row(code(field), typesOf(fields[field]))
		}
		m.line("")
	}
	return m.String()
}

// collectFields adds the paths and the types of all values of a JSON file.
func collectFields(t *testing.T, file string, fields map[string][]string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for key, one := range v {
				walk(strings.TrimPrefix(path+"."+key, "."), one)
			}
		case []any:
			for _, one := range v {
				walk(path+"[]", one)
			}
		default:
			if one := jsonType(path, v); !slices.Contains(fields[path], one) {
				fields[path] = append(fields[path], one)
			}
		}
	}
	walk("", value)
}

var (
	jsonMoment = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT.*|<now>)$`)
	jsonDate   = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
)

const (
	jsonNull = "null"
	ofTheRun = "text or number, of the run"
)

// typesOf names the types that a field has; of a masked value the golden file does not tell.
func typesOf(types []string) string {
	known := slices.DeleteFunc(slices.Sorted(slices.Values(types)), func(one string) bool { return one == jsonNull || one == ofTheRun })
	text := strings.Join(known, ", or ")
	if text == "" && slices.Contains(types, ofTheRun) {
		text = ofTheRun
	}
	switch {
	case !slices.Contains(types, jsonNull):
		return text
	case text == "":
		return "null, or a value"
	}
	return text + ", or null"
}

// jsonType names a value's type; a mask of a golden file has its field's.
func jsonType(path string, value any) string {
	text, isText := value.(string)
	switch {
	case strings.HasSuffix(path, "Ms"):
		return "number, milliseconds"
	case strings.HasSuffix(path, "Micros"):
		return "number, microseconds"
	case value == nil:
		return jsonNull
	case !isText:
		return map[bool]string{true: "true or false", false: "number"}[value == true || value == false]
	case jsonMoment.MatchString(text):
		return "time, RFC 3339"
	case jsonDate.MatchString(text):
		return "date"
	case strings.HasPrefix(text, "<"):
		return ofTheRun
	}
	return "text"
}

func crashStepsReference(*testing.T) string {
	var m markdown
	m.table("killed at", "leaves")
	for _, p := range failpoint.Points {
		m.row(code(p.Name), p.Leaves)
	}
	return m.String()
}

func commandsReference(*testing.T) string {
	var m markdown
	app := newApp(nil, nil, nil)
	m.table("command", "")
	walk("", app.Commands, func(path string, c *cli.Command) {
		if !c.Hidden && !strings.Contains(path, " ") {
			m.row(fmt.Sprintf("[`%s`](#composerp-%s)", path, path), c.Usage)
		}
	})
	walk("composerp ", app.Commands, func(path string, c *cli.Command) {
		if !c.Hidden {
			m.command(path, c)
		}
	})
	return m.String()
}

// command writes one command, with its own flags; of the settings it reads it has the names alone.
func (m *markdown) command(path string, c *cli.Command) {
	m.line("\n%s %s\n", strings.Repeat("#", len(strings.Fields(path))), path)
	m.line("%s.", upper(c.Usage))
	if len(c.Subcommands) == 0 || c.Description != "" || len(c.VisibleFlags()) > 0 {
		m.line("\n    %s", strings.TrimSpace(path+" [flags] "+c.ArgsUsage))
	}
	if c.Description != "" {
		m.WriteString("\n")
		m.prose(c.Description)
	}
	var used []string
	var own []ownFlag
	for _, f := range c.VisibleFlags() {
		doc, ok := f.(cli.DocGenerationFlag)
		switch _, isSetting := f.(settings.Flag); {
		case isSetting:
			used = append(used, code(terminal.Dashed(f.Names()[0])))
		case ok && f.Names()[0] != "help":
			own = append(own, ownFlag{doc, f})
		}
	}
	if len(own) > 0 {
		m.WriteString("\n")
		m.table("flag", "")
		for _, f := range own {
			m.row(f.head(), strings.ReplaceAll(flagText(f.DocGenerationFlag), "`", ""))
		}
	}
	if len(used) > 0 {
		m.line("\n[Settings](settings.md): %s", strings.Join(used, ", "))
	}
}

// ownFlag is a flag of one command.
type ownFlag struct {
	cli.DocGenerationFlag
	flag cli.Flag
}

// head is the flag as it is typed. A word in back quotes in its usage names the value.
func (f ownFlag) head() string {
	head := flagHead(f.flag, f.TakesValue())
	if parts := strings.Split(f.GetUsage(), "`"); len(parts) == 3 && !strings.Contains(parts[1], " ") {
		head = strings.Replace(head, terminal.ValueName(f.flag), parts[1], 1)
	}
	return code(head)
}

// prose fences indented lines: they are examples and tables of columns.
func (m *markdown) prose(text string) {
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		var fenced, plain []string
		for line := range strings.Lines(paragraph) {
			line = strings.TrimRight(line, " \n")
			if kept, indented := strings.CutPrefix(line, "   "); indented {
				fenced = append(fenced, kept)
			} else {
				plain = append(plain, line)
			}
		}
		if len(plain) > 0 {
			m.line("%s\n", strings.Join(plain, "\n"))
		}
		if len(fenced) > 0 {
			m.line("```\n%s\n```\n", strings.Join(fenced, "\n"))
		}
	}
}

func eventsReference(t *testing.T) string {
	set, err := contract.Current()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := catalogue.Of(set, workers.Fleet)
	if err != nil {
		t.Fatal(err)
	}
	publishers := func(e catalogue.Entry) string {
		if len(e.PublishedBy) == 0 {
			t.Errorf("%s has no publisher: declare it by emits.Types, or add a command to package catalogue", e.Type)
		}
		var names []string
		for _, p := range e.PublishedBy {
			if p.Kind == catalogue.Command {
				names = append(names, code(p.Name))
			} else {
				names = append(names, p.Name)
			}
		}
		return strings.Join(names, ", ")
	}
	var m markdown
	m.table("type", "routing key", "published by", "consumed by")
	for _, e := range entries {
		from := publishers(e)
		if e.Outside {
			from = "external"
		}
		m.row(fmt.Sprintf("[%s](#%s)", e.Type, strings.ToLower(string(e.Type))), code(e.RoutingKey), from, strings.Join(e.ConsumedBy, ", "))
	}
	m.line("\n## The envelope\n")
	envelope, err := catalogue.Fields(set.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	m.fields(envelope)
	m.line("\n## Types of fields\n")
	m.table("type", "")
	definitions, err := catalogue.Definitions(set.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range definitions {
		m.row(d.Name, d.Description)
	}
	for _, e := range entries {
		m.line("\n## %s\n\n%s\n", e.Type, e.Description)
		m.line("Version %s, aggregate `%s`, routing key `%s`. Published by %s.", e.Version(), e.AggregateType, e.RoutingKey, publishers(e))
		m.line("[Schema](../../exchange/event/schema/%s.json), [example](../../exchange/event/testdata/%s.json).\n", contract.Name(e.Type, e.Version()), e.Type)
		m.fields(e.Fields)
	}
	return m.String()
}

// fields writes a row for each field.
func (m *markdown) fields(all []catalogue.Field) {
	m.table("field", "type", "required", "")
	for _, f := range all {
		need := ""
		if f.Required {
			need = "yes"
		}
		m.row(code(f.Path), f.Kind, need, f.Description)
	}
}

// collected is a Registerer that keeps what is registered.
type collected struct {
	prometheus.Registerer
	all []prometheus.Collector
}

func (c *collected) MustRegister(all ...prometheus.Collector) { c.all = append(c.all, all...) }

func (c *collected) Register(one prometheus.Collector) error {
	c.all = append(c.all, one)
	return nil
}

var describedAs = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "(.*?)"(?:, unit: "[^"]*")?, constLabels: \{.*\}, variableLabels: \{(.*)\}\}$`)

func metricsReference(t *testing.T) string {
	var c collected
	worker.NewMetrics(&c)
	fleet.RegisterFailures(&c, nil)
	relay.NewMetrics(&c)
	publishing.NewMetrics(&c)
	scaler.NewMetrics(&c)
	relay.RegisterLag(&c, nil)
	stream.NewMetrics(&c)
	stream.RegisterState(&c, nil)
	audit.Register(&c, nil)
	rebuilds.Register(&c, nil, nil)
	processes.Register(&c, nil, nil)
	watchdog.NewMetrics(&c)
	gateway.NewMetrics(&c)
	fleet.RegisterBuild(&c, "")
	business.New(&c, nil, nil)
	for _, w := range workers.Fleet(workers.Config{}) {
		c.MustRegister(w.Collectors()...)
	}
	rows := map[string][]string{}
	for _, one := range c.all {
		described := make(chan *prometheus.Desc, 8)
		one.Describe(described)
		close(described)
		for d := range described {
			parts := describedAs.FindStringSubmatch(d.String())
			if parts == nil {
				t.Fatalf("%s is described in another way than this test reads", d)
			}
			rows[parts[1]] = []string{code(parts[1]), metricType(one, parts[1]), strings.ReplaceAll(parts[3], ",", ", "), parts[2]}
		}
	}
	for name, old := range fleet.RenamedMetrics {
		if rows[name] == nil {
			t.Errorf("%s is deprecated for %s, which is not there", old, name)
			continue
		}
		rows[old] = []string{code(old), rows[name][1], rows[name][2], fleet.RenamedMetricHelp(code(name))}
	}
	for name, file := range metricsInCode(t) {
		if rows[name] == nil {
			t.Errorf("%s names the metric %s, which this page lacks: register its package's metrics here", file, name)
		}
	}
	var m markdown
	m.table("metric", "type", "labels", "")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		m.row(rows[name]...)
	}
	return m.String()
}

func metricType(c prometheus.Collector, name string) string {
	switch c.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.HistogramVec, prometheus.Histogram:
		return "histogram"
	case prometheus.Counter:
		if strings.HasSuffix(name, "_total") { // a gauge has a counter's methods, too
			return "counter"
		}
	}
	return "gauge"
}

// metricsInCode finds the declarations of metrics in the program's source, so that the page misses none.
func metricsInCode(t *testing.T) map[string]string {
	t.Helper()
	declared := regexp.MustCompile(`(?:Name: *|gauge\()"(composerp_[a-z_]+)"`)
	found := map[string]string{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := entry.Name(); entry.IsDir() && (base == "testdata" || base == "bin" || base == "docs" || len(base) > 2 && base[0] == '.') {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		raw, err := os.ReadFile(path)
		for _, match := range declared.FindAllStringSubmatch(string(raw), -1) {
			found[match[1]] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Error("no metric was found in the source: the test would miss one that is new")
	}
	return found
}

func TestTheTablesPageHasEveryTable(t *testing.T) {
	t.Parallel()
	there := strings.Fields(storetest.Value[string](t, storetest.URL(t), `SELECT string_agg(c.relname, ' ') FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public' WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition`))
	raw, err := os.ReadFile("../docs/reference/tables.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z_]+)`")
	told := map[string]bool{"goose_db_version": true}
	for line := range strings.Lines(string(raw)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, name := range named.FindAllStringSubmatch(cells[1], -1) {
				told[name[1]] = true
			}
		}
	}
	for _, name := range there {
		if !told[name] {
			t.Errorf("docs/reference/tables.md lacks the table %s", name)
		}
		told[name] = false
	}
	for name, left := range told {
		if left && !slices.Contains(there, name) {
			t.Errorf("docs/reference/tables.md has the table %s, which is not there", name)
		}
	}
}

func TestTheWatchdogsPageHasEveryKind(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/reference/watchdog.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range watchdog.Kinds {
		if !strings.Contains(string(raw), code(string(kind))) {
			t.Errorf("docs/reference/watchdog.md lacks the kind %s", kind)
		}
	}
}
