// Package wording writes numbers, nouns and errors as people read them.
package wording

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// OneLine is text on one line, with single spaces.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Shortened is the text in at most width characters.
func Shortened(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// MaxQuote is how many characters an error quotes of a file or a value: about a line.
const MaxQuote = 200

// Thousands is n with a comma between groups of three digits: 1,234,567.
func Thousands(n int64) string { return Grouped(strconv.FormatInt(n, 10)) }

// Grouped is a plain decimal number, 1234567.89, in groups of three digits: 1,234,567.89.
func Grouped(number string) string {
	whole, fraction, _ := strings.Cut(number, ".")
	sign := len(whole) - len(strings.TrimPrefix(whole, "-"))
	for at := len(whole) - 3; at > sign; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	return whole + number[len(number)-len(fraction)-min(len(fraction), 1):]
}

// Sprintf is fmt.Sprintf with whole numbers in groups of three digits.
func Sprintf(format string, args ...any) string {
	return message.NewPrinter(language.English).Sprintf(format, args...)
}

// Count is n and what is counted, by its singular noun: "1 event", "1,200 events".
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Thousands(n) + " " + noun + "s"
}

// Span is a length of time as people read it: exact where it is short, and then in its two largest units, such as
// 215ms, 2.35s, 42s, 3m20s, 5h12m and 3d4h. Less than nothing is nothing: clocks differ.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 10*time.Second {
		d = d.Round(time.Second)
	}
	switch {
	case d <= 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Hour:
		return d.String()
	case d < 2*day:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	d = d.Round(time.Hour)
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

// Seconds is Span of a number of seconds.
func Seconds(s float64) string { return Span(time.Duration(s * float64(time.Second))) }

// LastCause is the innermost text of a network error: "connection refused" of "dial tcp 127.0.0.1:1: connect:
// connection refused". The caller has named the address.
func LastCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return OneLine(err.Error())
		}
		err = inner
	}
}

// LineOf is an error with its text on one line. It matches what err matches.
func LineOf(err error) error { return oneLine{err} }

type oneLine struct{ error }

func (e oneLine) Error() string { return OneLine(e.error.Error()) }
func (e oneLine) Unwrap() error { return e.error }
