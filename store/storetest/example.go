package storetest

import (
	"context"
	"fmt"
	"testing"
)

// Example runs the body of an Example function with a test's helpers, which need a testing.TB. It panics where
// a test would end.
func Example(body func(t testing.TB)) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &exampleTB{ctx: ctx}
	defer func() {
		cancel()
		for i := len(t.cleanups) - 1; i >= 0; i-- {
			t.cleanups[i]()
		}
	}()
	body(t)
}

// exampleTB is what the helpers use of a testing.TB; the rest of the interface is nil.
type exampleTB struct {
	testing.TB
	ctx      context.Context //nolint:containedctx // a testing.TB gives its context by a method
	cleanups []func()
}

func (t *exampleTB) Helper()                           {}
func (t *exampleTB) Name() string                      { return "Example" }
func (t *exampleTB) Context() context.Context          { return t.ctx }
func (t *exampleTB) Cleanup(do func())                 { t.cleanups = append(t.cleanups, do) }
func (t *exampleTB) Log(args ...any)                   {}
func (t *exampleTB) Logf(format string, args ...any)   {}
func (t *exampleTB) Error(args ...any)                 { panic(fmt.Sprint(args...)) }
func (t *exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (t *exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
