package rabbitmq_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/topologytest"
)

// RabbitMQ 4.x refuses some of what 3.10 takes. `make matrix` tests on it. Where only 3.10 runs, our declarations and
// calls are compared with its rules statically.

// allowed are the arguments of quorum queues that 3.10 to 4.x take and that we use, with their allowed values.
var allowed = map[string]func(value any) bool{
	"x-queue-type":              func(v any) bool { return v == "quorum" },
	"x-delivery-limit":          func(v any) bool { n, ok := v.(int64); return ok && n > 20 },
	"x-dead-letter-exchange":    func(v any) bool { _, ok := v.(string); return ok },
	"x-dead-letter-routing-key": func(v any) bool { s, ok := v.(string); return ok && s != "" },
	"x-dead-letter-strategy":    func(v any) bool { return v == "at-least-once" },
	"x-overflow":                func(v any) bool { return v == "reject-publish" },
	"x-message-ttl":             func(v any) bool { n, ok := v.(int64); return ok && n > 0 },
}

func TestEveryQueueIsFitFor4(t *testing.T) {
	t.Parallel()
	topology := topology.Compute(topologytest.Fleet())
	for _, q := range topology.Queues {
		for _, always := range []string{"x-queue-type", "x-delivery-limit"} {
			if q.Arguments[always] == nil {
				t.Errorf("queue %s says nothing of %s; the default differs between 3.10 and 4.x", q.Name, always)
			}
		}
		for name, value := range q.Arguments {
			if fits := allowed[name]; fits == nil || !fits(value) {
				t.Errorf("queue %s has %s = %v", q.Name, name, value)
			}
		}
		if q.Arguments["x-dead-letter-strategy"] != nil && q.Arguments["x-overflow"] != "reject-publish" {
			t.Errorf("queue %s: at-least-once dead-lettering needs reject-publish", q.Name)
		}
	}
}

func TestEveryExchangeIsFitFor4(t *testing.T) {
	t.Parallel()
	want := topology.Compute(topologytest.Fleet())
	var names []string
	for _, e := range want.Exchanges {
		names = append(names, e.Name)
		if !slices.Contains([]string{"topic", "fanout", "direct", "headers"}, e.Kind) {
			t.Errorf("exchange %s is of type %s, which needs a plugin or is not ours", e.Name, e.Kind)
		}
		for name, value := range e.Arguments {
			if name != "alternate-exchange" || !slices.Contains(names, value.(string)) {
				t.Errorf("exchange %s has %s = %v, which is not declared before it", e.Name, name, value)
			}
		}
	}
	for _, b := range want.Bindings {
		known := slices.ContainsFunc(want.Queues, func(q topology.QueueSpec) bool { return q.Name == b.Queue }) || slices.Contains(names, b.To)
		if !known || !slices.Contains(names, b.Exchange) {
			t.Errorf("binding %v joins what is not declared", b)
		}
	}
}

// calls are the library's methods that this package may call, with the arguments that must be literally these (by
// index). No others may be called: global QoS, transactions, basic.recover, flow and the like.
var calls = map[string]map[int]string{
	"Qos":                        {1: "0", 2: "false"},                            // never global
	"QueueDeclare":               {1: "true", 2: "false", 3: "false", 4: "false"}, // durable only
	"QueueDeclarePassive":        {1: "true", 2: "false", 3: "false", 4: "false"}, //
	"ExchangeDeclare":            {2: "true", 3: "false", 4: "false", 5: "false"}, // durable only
	"ExchangeBind":               {3: "false"},                                    // waited for
	"ExchangeUnbind":             {3: "false"},                                    //
	"QueueBind":                  {3: "false"},                                    //
	"QueueDelete":                {3: "false"},
	"Consume":                    {2: "false", 3: "false", 4: "false", 5: "false", 6: "nil"}, // acknowledged by us, shared
	"PublishWithDeferredConfirm": {2: "true", 3: "false"},                                    // mandatory, not immediate
	"Confirm":                    {0: "false"},
}

// exclusive are the files that may declare queues of one connection alone: 4.x still has those, of the classic type.
var exclusive = []string{"tap.go"}

var forbidden = []string{"Tx", "TxCommit", "TxRollback", "Recover", "Flow", "Publish", "PublishWithContext", "Nack", "Reject", "Get",
	"QueueInspect", "ConsumeWithContext", "QueuePurge"}

func TestEveryCallIsFitFor4(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	must(t, err)
	seen := map[string]int{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !onChannel(method.X) {
				return true
			}
			at := files.Position(call.Pos())
			if slices.Contains(forbidden, method.Sel.Name) {
				t.Errorf("%s: %s is not for us", at, method.Sel.Name)
			}
			for place, want := range calls[method.Sel.Name] {
				if method.Sel.Name == "QueueDeclare" && place == 3 && slices.Contains(exclusive, name) {
					want = "true"
				}
				if got := literal(call.Args[place]); got != want {
					t.Errorf("%s: argument %d of %s is %s, want %s", at, place, method.Sel.Name, got, want)
				}
			}
			seen[method.Sel.Name]++
			return true
		})
	}
	for name := range calls {
		if seen[name] == 0 {
			t.Errorf("no call of %s found: this test has lost sight of the code", name)
		}
	}
}

// onChannel reports whether x is named as this package names the library's channels.
func onChannel(x ast.Expr) bool {
	switch e := x.(type) {
	case *ast.Ident:
		return e.Name == "channel" || e.Name == "ch"
	case *ast.SelectorExpr:
		return e.Sel.Name == "channel"
	}
	return false
}

func literal(x ast.Expr) string {
	switch e := x.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.BasicLit:
		return e.Value
	}
	return "an expression"
}
