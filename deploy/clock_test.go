package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// wallClock are the places of the fleet where the machine's wall clock is read for what it shows, each with what a step of it does there.
// Everywhere else time.Now measures how long something takes, by its monotonic part, which no step changes.
var wallClock = map[string]string{
	"exchange/config.go":                "the default of a clock that is passed in: only headers that people read",
	"exchange/failure.go":               "the same, for a delivery that came from no consumer",
	"exchange/redrive.go":               "x-redriven-at, a header: with the id it tells one life of a message from another, whatever time it says",
	"exchange/watchdog/mend.go":         "handed to a memory that compares it with other readings of its own",
	"store/migrate.go":                  "when a migration was applied is shown to whoever applied it",
	"workers/alert/alert.go":            "the default of a clock that is passed in: an Alertmanager wants to be told the time",
	"workers/worker/webcall/refusal.go": "a Retry-After that is a date, from somebody who does not say what his own clock shows: the wait is bounded by the ladder",
}

// TestWallClockIsReadWhereNothingHangsOnIt looks at every time.Now of the fleet. What it gives may be compared with another reading of the
// same process, by hand or by time.Since, and passed to nobody who would look at the date.
func TestWallClockIsReadWhereNothingHangsOnIt(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, s := range sources(t, parser.SkipObjectResolution) {
		top, _, _ := strings.Cut(s.path, "/")
		if s.test || !slices.Contains([]string{"exchange", "store", "workers"}, top) || isHelper(s.path) {
			continue
		}
		for _, text := range wallReadings(s.file) {
			found[s.path] = true
			if wallClock[s.path] == "" {
				t.Errorf("%s %s: a step of the machine's clock changes what comes of it. Measure durations, have the database say the time, or pass a clock in",
					s.path, text)
			}
		}
	}
	for path := range wallClock {
		if !found[path] {
			t.Errorf("%s does not read the wall clock any more", path)
		}
	}
}

func isHelper(path string) bool {
	r, ok := roomOf(path[:strings.LastIndex(path, "/")])
	return ok && r.helper
}

// monotonic are the methods of a time that go by its monotonic part when both sides have one.
var monotonic = []string{"Add", "Sub", "After", "Before", "Compare"}

// wallReadings tells of each time.Now in a file that is more than a point to measure from.
func wallReadings(file *ast.File) (texts []string) {
	kept := map[string]bool{} // variables and fields that hold what time.Now gave
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
			texts = append(texts, "looks at the date of "+nameOf(method.X)+", which time.Now gave")
		}
		return true
	})
	return texts
}

// TestTheClockRuleBites holds the rule to what it is for.
func TestTheClockRuleBites(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`began := time.Now(); _ = time.Since(began)`:                         "",
		`deadline := time.Now().Add(time.Second); _ = deadline`:              "",
		`_ = look{at: time.Now()}`:                                           "",
		`_ = time.Now().Format("15:04")`:                                     "asks time.Now() for its Format",
		`now := time.Now(); _ = now.UTC()`:                                   "looks at the date of now",
		`var x struct{ at time.Time }; x.at = time.Now(); _ = x.at.Unix()`:   "looks at the date of at",
		`tell(time.Now())`:                                                   "hands time.Now() to tell",
		`tell(time.Now)`:                                                     "passes time.Now on",
		`x.t = time.Now; _ = x`:                                              "passes time.Now on",
		`_ = func() time.Time { return time.Now() }`:                         "gives time.Now() back",
		`started, other := time.Now(), 1; _, _ = started.After(when), other`: "",
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc f() { "+body+" }", parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(wallReadings(file), "; "); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func isNow(s *ast.SelectorExpr) bool { return nameOf(s.X) == "time" && s.Sel.Name == "Now" }

// isDated tells methods that give what the wall clock shows.
func isDated(method string) bool {
	return slices.Contains([]string{"UTC", "In", "Local", "Format", "AppendFormat", "String", "Date", "Clock", "Year", "Month", "Day", "Hour", "Round", "Truncate"}, method) ||
		strings.HasPrefix(method, "Unix") || strings.HasPrefix(method, "Marshal")
}

// usedFor says what is wrong with a time.Now whose parents these are, the nearest last; kept grows by who holds it.
func usedFor(now ast.Expr, parents []ast.Node, kept map[string]bool) string {
	call, ok := parents[len(parents)-1].(*ast.CallExpr)
	if !ok || call.Fun != now {
		return "passes time.Now on"
	}
	switch parent := parents[len(parents)-2].(type) {
	case *ast.SelectorExpr:
		if !slices.Contains(monotonic, parent.Sel.Name) {
			return "asks time.Now() for its " + parent.Sel.Name
		}
	case *ast.CallExpr:
		if method, ok := parent.Fun.(*ast.SelectorExpr); !ok || !slices.Contains(monotonic, method.Sel.Name) {
			return "hands time.Now() to " + nameOf(parent.Fun)
		}
	case *ast.AssignStmt:
		if len(parent.Lhs) == len(parent.Rhs) {
			kept[nameOf(parent.Lhs[slices.Index(parent.Rhs, ast.Expr(call))])] = true
		}
	case *ast.KeyValueExpr:
		kept[nameOf(parent.Key)] = true
	case *ast.ReturnStmt:
		return "gives time.Now() back"
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
