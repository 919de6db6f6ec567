package storetest

import (
	"context"
	"slices"
	"testing"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
)

// DeadLetters is the dead-letter log, the newest first.
func DeadLetters(t testing.TB, db *store.DB) []failures.DeadLetter {
	t.Helper()
	var letters []failures.DeadLetter
	Must(t, failures.EachDeadLetter(context.Background(), db, failures.LetterFilter{IncludeResolved: true}, 0, func(l failures.DeadLetter) error {
		letters = append(letters, l)
		return nil
	}))
	slices.Reverse(letters)
	return letters
}
