// Package wording writes numbers, nouns and errors as people read them.
package wording

import (
	"strconv"
	"strings"
)

// OneLine is text on one line, with single spaces.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Thousands is n with a comma between groups of three digits: 1,234,567.
func Thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(digits) - 3; i > start; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Count is n and what is counted, by its singular noun: "1 event", "1,200 events".
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Thousands(n) + " " + noun + "s"
}
