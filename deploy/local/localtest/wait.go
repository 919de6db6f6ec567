package localtest

import (
	"context"
	"testing"
	"time"
)

// Eventually asks again after a time that grows with what it has waited, and after twice the time that an answer takes,
// so that its questions do not slow down what takes long: a question that starts a process is asked seldom.
const (
	firstPoll   = 5 * time.Millisecond
	longestPoll = 50 * time.Millisecond
	longestRest = time.Second
)

// Eventually waits until holds does, for Deadline(d), and ends the test with one line when it does not.
func Eventually(t testing.TB, d time.Duration, what string, holds func() bool) {
	t.Helper()
	if !Await(d, holds) {
		t.Fatal(Late(d, what))
	}
}

// Await waits until holds does, for Deadline(d), and reports whether it did. It asks once more when the time is over,
// so that a process that stood still for all of it gets an answer.
func Await(d time.Duration, holds func() bool) bool {
	began := time.Now()
	deadline := began.Add(Deadline(d))
	for asked := 1; ; asked++ {
		over := time.Now().After(deadline)
		asking := time.Now()
		if holds() {
			return true
		}
		rest := min(2*time.Since(asking), longestRest)
		if over && asked > 1 {
			return false
		}
		time.Sleep(max(rest, min(max(firstPoll, time.Since(began)/20), longestPoll)))
	}
}

// Receive waits for a value of a channel, or its end, for Deadline(d), and ends the test with one line when nothing
// comes.
func Receive[T any](t testing.TB, d time.Duration, what string, from <-chan T) T {
	t.Helper()
	timer := time.NewTimer(Deadline(d))
	defer timer.Stop()
	select {
	case value := <-from:
		return value
	case <-timer.C:
	}
	t.Fatal(Late(d, what))
	panic("not reached")
}

// Context ends after Deadline(d), or with the test.
func Context(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline(d))
	t.Cleanup(cancel)
	return ctx
}
