package deploy_test

import (
	"fmt"
	"slices"
	"strings"
)

const module = "github.com/composerp/composerp"

// A room is a folder with all below it that is no room of its own.
type room struct {
	path   string
	floor  int
	helper bool // a test helper: for tests and other helpers alone
}

// rooms is the plan of the house. A folder directly below workers/ is a room without being listed, so is one below exchange/.
// Helpers stand between the floor they test and the next.
var rooms = []room{
	{path: "exchange/event", floor: 0},
	{path: "deploy/chaos/proxy", floor: 0},
	{path: "exchange/failpoint", floor: 0},
	{path: "exchange", floor: 10},
	{path: "store", floor: 10},
	{path: "exchange/exchangetest", floor: 15, helper: true},
	{path: "store/storetest", floor: 15, helper: true},
	{path: "exchange/audit", floor: 22}, // has the room of the dead letters take stock
	{path: "exchange/*", floor: 20},
	{path: "workers/worker", floor: 20},
	{path: "workers/worker/workertest", floor: 25, helper: true},
	{path: "workers/*", floor: 30},
	{path: "workers", floor: 40},
	{path: "deploy", floor: 50},
	{path: "deploy/local", floor: 50},
	{path: "deploy/local/localtest", floor: 50, helper: true},
	{path: "cli", floor: 60},
	{path: "docs", floor: 60}, // tests of the examples, which run the program
}

// drivers are the libraries that one room alone may know; deploy/ may too, for its reference implementations and its tests.
var drivers = map[string]string{
	"github.com/rabbitmq/amqp091-go": "exchange",
	"github.com/jmoiron/sqlx":        "store",
	"github.com/lib/pq":              "store",
}

// edge is one import: a file of one package imports another. Both paths are relative to the module when they are ours.
type edge struct {
	from, file, to string
	test           bool // by a _test.go file
}

// roomOf finds the room with the longest path that holds the package. ok is false when the plan has no place for it.
func roomOf(pkg string) (room, bool) {
	var best room
	for _, r := range rooms {
		path := r.path
		if parent, isAny := strings.CutSuffix(path, "*"); isAny {
			rest, below := strings.CutPrefix(pkg, parent)
			if !below {
				continue
			}
			name, _, _ := strings.Cut(rest, "/")
			path = parent + name
		}
		// A listed room wins over the pattern that fits it too, for it comes earlier.
		if (pkg == path || strings.HasPrefix(pkg, path+"/")) && len(path) > len(best.path) {
			best = room{path: path, floor: r.floor, helper: r.helper}
		}
	}
	return best, best.path != ""
}

// problem says what is wrong with one import; "" when nothing is.
func problem(e edge) string {
	from, ok := roomOf(e.from)
	if !ok {
		return fmt.Sprintf("%s: package %s has no place in the house; its rooms are in deploy/floors_test.go", e.file, e.from)
	}
	if owner, isDriver := driverOwner(e.to); isDriver {
		if from.path == owner || from.path == owner+"/"+owner+"test" || from.floor == 50 {
			return ""
		}
		return fmt.Sprintf("%s imports %s: only %s (and deploy) knows that library", e.file, e.to, owner)
	}
	target, ours := strings.CutPrefix(e.to, module+"/")
	if !ours {
		return ""
	}
	to, ok := roomOf(target)
	switch {
	case !ok:
		return fmt.Sprintf("%s imports %s, which has no place in the house", e.file, target)
	case from.path == to.path:
		return ""
	case to.helper && !e.test && !from.helper && target != "deploy/local/localtest":
		return fmt.Sprintf("%s imports %s: test helpers are for tests and other helpers", e.file, target)
	case to.helper && (e.test || from.helper):
		return ""
	case to.path == "deploy/local" && from.helper:
		return ""
	case from.floor == 50 && to.floor == 50:
		return ""
	case from.floor == 30 && to.floor == 30:
		return fmt.Sprintf("%s imports %s: workers never import one another, they meet in events", e.file, target)
	case to.floor >= from.floor:
		return fmt.Sprintf("%s imports %s: a room imports only from floors below, and %s is on floor %d, %s on floor %d",
			e.file, target, from.path, from.floor/10, to.path, to.floor/10)
	}
	return ""
}

func driverOwner(path string) (string, bool) {
	for library, owner := range drivers {
		if path == library || strings.HasPrefix(path, library+"/") {
			return owner, true
		}
	}
	return "", false
}

// topLevel are the names that may stand in the top folder, beside those that begin with a dot.
var topLevel = []string{"workers", "exchange", "store", "cli", "deploy", "docs", "go.mod", "go.sum", "Makefile", "compose.yaml", "README.md", "CONTRIBUTING.md", "LICENSE"}

func permittedOnTop(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(topLevel, name)
}
