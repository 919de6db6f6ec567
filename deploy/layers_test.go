package deploy_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/composerp/composerp"

// layers are the top folders in the order in which they import: each imports itself and those before it. The examples
// and checks in docs stand above all of them. depguard enforces the same rules in `make lint`; this test says which
// rule an import breaks, and needs no linter.
var layers = []string{"exchange", "store", "workers", "deploy", "cli", "docs"}

// drivers are the client libraries and the folder that hides each. deploy may import them too: its reference programs,
// faults and proofs go around the product.
var drivers = map[string]string{
	"github.com/rabbitmq/amqp091-go": "exchange/rabbitmq",
	"github.com/jmoiron/sqlx":        "store",
	"github.com/lib/pq":              "store",
}

// forTests are the packages of deploy that tests of lower layers may import: private servers, a network that fails, and
// the comparison with golden files.
var forTests = []string{"deploy/local", "deploy/local/localtest", "deploy/chaos/proxy", "deploy/golden"}

// forRunningTests is a command that tests run under: it starts servers as they would.
const forRunningTests = "deploy/local/withservers"

// dependency is one import: a file of one package imports another. Our own packages are named by their folder.
type dependency struct {
	from, file, to string
	test           bool // by a _test.go file
}

// problem says which rule an import breaks, "" when it breaks none.
func problem(d dependency) string {
	layer := slices.Index(layers, top(d.from))
	if layer < 0 {
		return fmt.Sprintf("%s: package %s is in no layer; the layers are %s", d.file, d.from, strings.Join(layers, " ← "))
	}
	if owner, ok := driverOwner(d.to); ok {
		if within(d.from, owner) || top(d.from) == "deploy" {
			return ""
		}
		return fmt.Sprintf("%s imports %s: only packages of %s and deploy may", d.file, d.to, owner)
	}
	target, ours := strings.CutPrefix(d.to, module+"/")
	if !ours {
		return ""
	}
	tests := d.test || isTestPackage(d.from) || d.from == forRunningTests
	switch lower := slices.Index(layers, top(target)); {
	case lower < 0:
		return fmt.Sprintf("%s imports %s, which is in no layer", d.file, target)
	case isTestPackage(target) && !tests:
		return fmt.Sprintf("%s imports %s: only tests and other test packages may", d.file, target)
	case tests && slices.Contains(forTests, target):
		return ""
	case lower > layer:
		return fmt.Sprintf("%s imports %s: the layers import one way, %s", d.file, target, strings.Join(layers, " ← "))
	}
	return workersProblem(d, target)
}

// workersProblem holds the workers apart: they meet in events. Only the registry, workers/fleet.go, and the layers
// above import them.
func workersProblem(d dependency, target string) string {
	to, from := workerOf(target), workerOf(d.from)
	if to == "" || top(d.from) != "workers" || d.from == "workers" || from == to {
		return ""
	}
	if from != "" {
		return fmt.Sprintf("%s imports %s: workers never import one another, they meet in events", d.file, target)
	}
	return fmt.Sprintf("%s imports %s: the harness and the runtime know no worker", d.file, target)
}

// workerOf is the domain worker that a package belongs to, "" for any other package.
func workerOf(pkg string) string {
	rest, ok := strings.CutPrefix(pkg, "workers/")
	name, _, _ := strings.Cut(rest, "/")
	if !ok || name == "worker" || name == "runtime" {
		return ""
	}
	return name
}

func top(pkg string) string {
	folder, _, _ := strings.Cut(pkg, "/")
	return folder
}

func within(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

// isTestPackage reports whether a package helps tests, as net/http/httptest does: its name ends in "test".
func isTestPackage(pkg string) bool { return strings.HasSuffix(path.Base(pkg), "test") }

func driverOwner(target string) (string, bool) {
	for library, owner := range drivers {
		if within(target, library) {
			return owner, true
		}
	}
	return "", false
}

func TestLayers(t *testing.T) {
	t.Parallel()
	ours := 0
	for _, d := range dependencies(t) {
		if strings.HasPrefix(d.to, module) {
			ours++
		}
		if text := problem(d); text != "" {
			t.Error(text)
		}
	}
	if ours == 0 {
		t.Error("no import of this module was found: the test would pass with any imports")
	}
}

// TestLayerRules holds the rules themselves to what they are for.
func TestLayerRules(t *testing.T) {
	t.Parallel()
	const oneWay, noWorker, testsOnly = "one way", "know no worker", "only tests"
	for _, c := range []struct {
		from, to string
		test     bool
		want     string // part of the problem; empty: none
	}{
		{"exchange/rabbitmq", module + "/exchange/event", false, ""},
		{"exchange/rabbitmq", module + "/store", false, oneWay},
		{"exchange/rabbitmq", module + "/store", true, oneWay},
		{"store/eventlog", module + "/exchange/event", false, ""},
		{"store/eventlog", module + "/workers/worker", false, oneWay},
		{"workers/runtime/relay", module + "/store/eventlog", false, ""},
		{"workers/runtime/relay", module + "/deploy/demo", false, oneWay},
		{"deploy/demo", module + "/workers/approval", false, ""},
		{"deploy/demo", module + "/cli/settings", false, oneWay},
		{"cli", module + "/deploy/local", false, ""},
		{"cli/composerp", module + "/cli", false, ""},
		{"docs", module + "/cli", true, ""},
		{"cli", module + "/docs", false, oneWay},

		{"exchange/rabbitmq", "github.com/rabbitmq/amqp091-go", false, ""},
		{"exchange/rabbitmq/rabbitmqtest", "github.com/rabbitmq/amqp091-go", false, ""},
		{"exchange/management", "github.com/rabbitmq/amqp091-go", false, "only packages of exchange/rabbitmq"},
		{"workers/runtime/relay", "github.com/rabbitmq/amqp091-go", false, "only packages of exchange/rabbitmq"},
		{"store/internal/pg", "github.com/jmoiron/sqlx", false, ""},
		{"workers/ledger", "github.com/lib/pq", false, "only packages of store"},
		{"cli", "github.com/jmoiron/sqlx/reflectx", true, "only packages of store"},
		{"deploy/bench", "github.com/lib/pq", false, ""},

		{"workers/ledger", module + "/workers/worker", false, ""},
		{"workers/ledger", module + "/workers/runtime/deadletters", false, ""},
		{"workers/ledger", module + "/workers/intake", false, "workers never import one another"},
		{"workers/ledger_test", module + "/workers/intake", true, "workers never import one another"},
		{"workers/worker", module + "/workers/ledger", false, noWorker},
		{"workers/runtime/watchdog", module + "/workers/ledger", true, noWorker},
		{"workers", module + "/workers/ledger", false, ""},

		{"store/eventlog", module + "/store/storetest", false, testsOnly},
		{"deploy/demo", module + "/deploy/local/localtest", false, testsOnly},
		{"deploy/local/withservers", module + "/deploy/local/localtest", false, ""},
		{"store/eventlog", module + "/store/storetest", true, ""},
		{"store/storetest", module + "/deploy/local", false, ""},
		{"store/storetest", module + "/deploy/local/localtest", false, ""},
		{"store/storetest", module + "/deploy/demo", false, oneWay},
		{"store/eventlog", module + "/deploy/chaos/proxy", true, ""},
		{"store/eventlog", module + "/deploy/chaos", true, oneWay},
		{"store/eventlog", module + "/deploy/local", false, oneWay},
		{"workers/worker/workertest", module + "/store/storetest", false, ""},

		{"util", "fmt", false, "no layer"},
		{"cli", module + "/util", false, "no layer"},
	} {
		got := problem(dependency{from: c.from, file: c.from + "/file.go", to: c.to, test: c.test})
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s imports %s (test: %v): %q, want %q", c.from, c.to, c.test, got, c.want)
		}
	}
}
