package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/deploy/local/localtest"
)

// Timeout is how long a test waits for a condition: far longer than it takes.
const Timeout = 20 * time.Second

// Must ends the test when err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// MustGet is Must for a call that also returns a value: MustGet(call())(t).
func MustGet[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		Must(t, err)
		return v
	}
}

// IsError ends the test unless err is target.
func IsError(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
}

// Eventually polls until the condition holds, and ends the test with what it waited for after Timeout.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	localtest.Eventually(t, Timeout, what, holds)
}

// Concurrently runs every function at once and fails the test with the first error.
func Concurrently(t testing.TB, run ...func(ctx context.Context) error) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	for _, f := range run {
		g.Go(func() error { return f(ctx) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
