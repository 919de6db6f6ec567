package workertest

import (
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
)

// Timeout is how long a test waits, on a quiet machine, for something that must happen: far longer than it takes.
const Timeout = 60 * time.Second

// Eventually polls until the condition holds. After Timeout, scaled to the machine's speed, it ends the test and names
// the condition.
func (env *Env) Eventually(condition string, holds func() bool) {
	env.Helper()
	Eventually(env, condition, holds)
}

// Eventually is Env.Eventually without an environment.
func Eventually(t testing.TB, condition string, holds func() bool) {
	t.Helper()
	localtest.Eventually(t, Timeout, condition, holds)
}

// Wait receives from a channel. After Timeout, scaled to the machine's speed, it ends the test and names what did not
// come.
func Wait[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	return localtest.Receive(t, Timeout, what, c)
}
