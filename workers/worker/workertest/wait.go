package workertest

import (
	"testing"
	"time"
)

// Timeout is how long a test waits for something that must happen: far longer than it takes.
const Timeout = 60 * time.Second

// pollInterval is the pause between two looks; a condition may cost a query or a scrape.
const pollInterval = 10 * time.Millisecond

// Eventually polls until the condition holds. After Timeout it ends the test and names the condition.
func (env *Env) Eventually(condition string, holds func() bool) {
	env.Helper()
	Eventually(env, condition, holds)
}

// Eventually polls until the condition holds. After Timeout it ends the test and names the condition.
func Eventually(t testing.TB, condition string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(Timeout)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for: %s", Timeout, condition)
		}
		time.Sleep(pollInterval)
	}
}

// Wait receives from a channel. After Timeout it ends the test and names what did not come.
func Wait[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Timeout):
		t.Fatalf("waited %v in vain for: %s", Timeout, what)
		panic("unreachable")
	}
}
