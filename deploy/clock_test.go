package deploy_test

import (
	"go/ast"
	"go/parser"
	"path"
	"slices"
	"strings"
	"testing"
)

// wallClock are the files of the fleet that read the machine's wall clock, each with what the reading is for: nothing
// is decided by it. Everywhere else time.Now measures a duration, by its monotonic part, which a step of the clock
// does not change.
var wallClock = map[string]string{
	"exchange/rabbitmq/config.go":        "the default of a clock that is passed in; its time stands in headers for people",
	"exchange/rabbitmq/failure.go":       "the same, for a delivery that no consumer took",
	"exchange/rabbitmq/redrive.go":       "the header x-redriven-at: with the id it tells two redrives of a message apart, whatever its value",
	"exchange/rabbitmq/reroute.go":       "how long a message was unrouted: measured and shown",
	"workers/runtime/gateway/publish.go": "compared with other readings of the same process only: a key's events in a second",
	"workers/runtime/republish/run.go":   "how long no queue had an event: measured and shown",
	"workers/runtime/scaler/node.go":     "the default of a clock that is passed in: compared with other readings of the same process only, and shown",
	"workers/runtime/watchdog/repair.go": "compared with other readings of the same process only",
	"store/migrate.go":                   "shown: when a migration was applied",
	"workers/alert/alert.go":             "the default of a clock that is passed in: an Alertmanager wants the time",
	"workers/worker/webcall/refusal.go":  "a Retry-After may be a date; the longest retry delay bounds the wait",
	"workers/runtime/relay/relay.go":     "how long an event was in the log, and when a span ended: measured and shown, and decides nothing",
	"workers/worker/parking.go":          "the times of a parked event: measured and shown",
	"workers/worker/retry.go":            "the times of an attempt that failed: measured and shown",
	"workers/worker/spans/call.go":       "when a span ended: shown",
	"workers/worker/webcall/webcall.go":  "the time of a signature: the receiver wants the time, and judges it",
}

// TestWallClockDecidesNothing finds every time.Now of the fleet. Its value may be compared with another reading of the
// same process, by hand or by time.Since, and may not be given to code that reads the date.
func TestWallClockDecidesNothing(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, s := range sources(t, parser.SkipObjectResolution) {
		if s.test || isTestPackage(path.Dir(s.path)) || !slices.Contains([]string{"exchange", "store", "workers"}, top(s.path)) {
			continue
		}
		for _, text := range wallReadings(s.file) {
			found[s.path] = true
			if wallClock[s.path] == "" {
				t.Errorf("%s %s: a step of the machine's clock changes the result. Measure durations, ask the database for the time, or pass a clock in",
					s.path, text)
			}
		}
	}
	for path := range wallClock {
		if !found[path] {
			t.Errorf("%s does not read the wall clock any more: take it off the list", path)
		}
	}
}

// monotonic are the methods of a time that use its monotonic part when both sides have one.
var monotonic = []string{"Add", "Sub", "After", "Before", "Compare"}

// wallReadings describes each time.Now of a file that is more than the start of a measurement.
func wallReadings(file *ast.File) (texts []string) {
	kept := map[string]bool{} // variables and fields that hold a value of time.Now
	var parents []ast.Node
	ast.Inspect(file, func(node ast.Node) bool {
		if node == nil {
			parents = parents[:len(parents)-1]
			return true
		}
		if selector, ok := node.(*ast.SelectorExpr); ok && isNow(selector) {
			if text := usedFor(selector, parents, kept); text != "" {
				texts = append(texts, text)
			}
		}
		parents = append(parents, node)
		return true
	})
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		if method, ok := call.Fun.(*ast.SelectorExpr); ok && kept[nameOf(method.X)] && isDated(method.Sel.Name) {
			texts = append(texts, "reads the date of "+nameOf(method.X)+", a value of time.Now")
		}
		return true
	})
	return texts
}

// TestClockRule holds the rule to what it is for.
func TestClockRule(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`began := time.Now(); _ = time.Since(began)`:                         "",
		`deadline := time.Now().Add(time.Second); _ = deadline`:              "",
		`_ = reading{at: time.Now()}`:                                        "",
		`_ = time.Now().Format("15:04")`:                                     "calls Format of time.Now()",
		`now := time.Now(); _ = now.UTC()`:                                   "reads the date of now",
		`var x struct{ at time.Time }; x.at = time.Now(); _ = x.at.Unix()`:   "reads the date of at",
		`show(time.Now())`:                                                   "passes time.Now() to show",
		`show(time.Now)`:                                                     "passes time.Now on",
		`x.t = time.Now; _ = x`:                                              "passes time.Now on",
		`_ = func() time.Time { return time.Now() }`:                         "returns time.Now()",
		`started, other := time.Now(), 1; _, _ = started.After(when), other`: "",
	} {
		file := parse(t, "package x\nfunc f() { "+body+" }")
		if got := strings.Join(wallReadings(file), "; "); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func isNow(s *ast.SelectorExpr) bool { return nameOf(s.X) == "time" && s.Sel.Name == "Now" }

// isDated reports whether a method gives a date or a time of day.
func isDated(method string) bool {
	return slices.Contains([]string{"UTC", "In", "Local", "Format", "AppendFormat", "String", "Date", "Clock", "Year", "Month", "Day", "Hour", "Round", "Truncate"}, method) ||
		strings.HasPrefix(method, "Unix") || strings.HasPrefix(method, "Marshal")
}

// usedFor says what is wrong with a time.Now, from its parents, the nearest last. It adds to kept the variable or field
// that holds the value.
func usedFor(now ast.Expr, parents []ast.Node, kept map[string]bool) string {
	call, ok := parents[len(parents)-1].(*ast.CallExpr)
	if !ok || call.Fun != now {
		return "passes time.Now on"
	}
	switch parent := parents[len(parents)-2].(type) {
	case *ast.SelectorExpr:
		if !slices.Contains(monotonic, parent.Sel.Name) {
			return "calls " + parent.Sel.Name + " of time.Now()"
		}
	case *ast.CallExpr:
		if method, ok := parent.Fun.(*ast.SelectorExpr); !ok || !slices.Contains(monotonic, method.Sel.Name) {
			return "passes time.Now() to " + nameOf(parent.Fun)
		}
	case *ast.AssignStmt:
		if len(parent.Lhs) == len(parent.Rhs) {
			kept[nameOf(parent.Lhs[slices.Index(parent.Rhs, ast.Expr(call))])] = true
		}
	case *ast.KeyValueExpr:
		kept[nameOf(parent.Key)] = true
	case *ast.ReturnStmt:
		return "returns time.Now()"
	}
	return ""
}

// nameOf is the last name of an expression.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
