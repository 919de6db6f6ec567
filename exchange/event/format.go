package event

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// The functions below check the formats of texts, for Decode and for the schemas' "format" keyword alike. Each returns
// the problem as "want ...", empty when there is none; the caller adds ", got ...".

const (
	wantTime = "want an RFC 3339 time such as 2026-02-09T12:00:00Z"
	wantDate = "want a date such as 2026-03-09"
	wantUUID = "want a UUID such as 7d444840-9dc0-11d1-b245-5ffdce74fad2"
	wantID   = "want 1 to 64 bytes without control characters"
	wantText = "want text without control characters other than tab and line feed"
)

// format is a value of the schemas' "format" keyword: the kind of JSON value that it applies to, and its check.
type format struct {
	of    kind
	check func(text string) string
}

// formats are the formats that schemas may use. Those of JSON Schema are stricter here than in the standard.
var formats = map[string]format{
	"uuid":       {kindString, func(s string) string { _, problem := parseUUID(s); return problem }},
	"date-time":  {kindString, func(s string) string { _, problem := parseTime(s); return problem }},
	"date":       {kindString, checkDate},
	"opaque-id":  {kindString, checkID},
	"plain-text": {kindString, checkText},
	"decimal":    {kindNumber, func(s string) string { return new(numeral).read(s) }},
}

// validate is the check for the schema library, which calls it with values of all kinds.
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

// maxID is the length of the longest opaque id, in bytes.
const maxID = 64

// parseTime reads an RFC 3339 time, in UTC and cut to the microsecond. It refuses the zero time, which is what a
// forgotten field looks like.
func parseTime(s string) (time.Time, string) {
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, wantTime
	}
	t = canonicalTime(t)
	if !writable(t) {
		return time.Time{}, wantTime
	}
	return t, ""
}

// canonicalTime returns t in UTC, cut to the microsecond.
func canonicalTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// writable reports whether RFC 3339 can express t, and t is not the zero time.
func writable(t time.Time) bool { return !t.IsZero() && t.Year() >= 1 && t.Year() <= 9999 }

// parseUUID reads a UUID in its usual form of 36 characters. It refuses all zeros: two events with a forgotten id would
// be taken for one event.
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

// checkID checks the bounds of an opaque id.
func checkID(s string) string {
	if s == "" || len(s) > maxID || !clean(s, "") {
		return wantID
	}
	return ""
}

// checkText refuses control characters: PostgreSQL cannot store NUL, and terminals interpret others.
func checkText(s string) string {
	if !clean(s, "\t\n") {
		return wantText
	}
	return ""
}

// clean reports whether s is UTF-8 without control characters other than those allowed. Most texts are ASCII, which
// needs no decoding.
func clean(s, allowed string) bool {
	refused := func(r rune) bool { return control(r) && !strings.ContainsRune(allowed, r) }
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return utf8.ValidString(s) && strings.IndexFunc(s, refused) < 0
		}
		if refused(rune(s[i])) {
			return false
		}
	}
	return true
}

func control(r rune) bool { return r < ' ' || 0x7f <= r && r <= 0x9f }
