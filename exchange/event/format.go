package event

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// The formats below are read here and nowhere else: the schemas' "format" keyword asks the same functions as Decode
// does. Each gives the problem, empty when there is none, as "want ..."; what was got, the caller adds.

const (
	wantTime = "want an RFC 3339 time such as 2026-02-09T12:00:00Z"
	wantDate = "want a date such as 2026-03-09"
	wantUUID = "want a UUID such as 7d444840-9dc0-11d1-b245-5ffdce74fad2"
	wantID   = "want 1 to 64 bytes without control characters"
	wantText = "want text without control characters other than tab and line feed"
)

// format is a schema's "format" keyword: what it speaks of, and what is wrong with a text.
type format struct {
	of    kind
	check func(text string) string
}

// formats are the formats that schemas may use, ours and the standard's that we read in our own way.
var formats = map[string]format{
	"uuid":       {kindString, func(s string) string { _, problem := parseUUID(s); return problem }},
	"date-time":  {kindString, func(s string) string { _, problem := parseTime(s); return problem }},
	"date":       {kindString, checkDate},
	"opaque-id":  {kindString, checkID},
	"plain-text": {kindString, checkText},
	"decimal":    {kindNumber, func(s string) string { return new(numeral).read(s) }},
}

// validate is the check as the schema library calls it: with any value, of which it judges only its own kind.
func (f format) validate(v any) error {
	problem := ""
	switch v := v.(type) {
	case string:
		if f.of == kindString {
			problem = f.check(v)
		}
	case json.Number:
		if f.of == kindNumber {
			problem = f.check(string(v))
		}
	}
	if problem != "" {
		return errors.New(problem)
	}
	return nil
}

// maxID is the length of the longest id, in bytes.
const maxID = 64

// parseTime reads an RFC 3339 time as events keep it: in UTC, cut to the microsecond. The zero time is none: it is
// what a forgotten field looks like.
func parseTime(s string) (time.Time, string) {
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, wantTime
	}
	t = canonicalTime(t)
	if !speakable(t) {
		return time.Time{}, wantTime
	}
	return t, ""
}

// canonicalTime gives t as events keep it.
func canonicalTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// speakable says whether RFC 3339 can write t, and whether it is a time at all.
func speakable(t time.Time) bool { return !t.IsZero() && t.Year() >= 1 && t.Year() <= 9999 }

// parseUUID reads a UUID in its usual form of 36 characters. All zeros is none: two events that forgot their ids
// would be taken for one.
func parseUUID(s string) (uuid.UUID, string) {
	if len(s) != 36 {
		return uuid.UUID{}, wantUUID
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return uuid.UUID{}, wantUUID
	}
	if id == uuid.Nil {
		return uuid.UUID{}, "want a UUID that is not all zeros"
	}
	return id, ""
}

func checkDate(s string) string {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return wantDate
	}
	return ""
}

// checkID holds an opaque id to its bounds. It does not look at what it means.
func checkID(s string) string {
	if s == "" || len(s) > maxID || strings.IndexFunc(s, control) >= 0 || !utf8.ValidString(s) {
		return wantID
	}
	return ""
}

// checkText refuses what a terminal, a page or PostgreSQL could not show: NUL before all.
func checkText(s string) string {
	unshowable := func(r rune) bool { return control(r) && r != '\t' && r != '\n' }
	if strings.IndexFunc(s, unshowable) >= 0 || !utf8.ValidString(s) {
		return wantText
	}
	return ""
}

func control(r rune) bool { return r < ' ' || 0x7f <= r && r <= 0x9f }
