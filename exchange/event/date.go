package event

import "time"

// Date is a calendar day without a zone, written "2026-03-09". Dates compare as strings do: earlier is less. The
// zero value is no date.
type Date string

// DateOf gives the day of t in t's own location.
func DateOf(t time.Time) Date { return Date(t.Format(time.DateOnly)) }

// ParseDate reads "2026-03-09".
func ParseDate(s string) (Date, error) {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return "", &FieldError{Problem: "want a date such as 2026-03-09, got " + quote(s)}
	}
	return Date(s), nil
}

// Time gives the day's midnight in UTC, and the zero time when d is no date.
func (d Date) Time() time.Time {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return time.Time{}
	}
	return t
}

// AddDays gives the day n days later.
func (d Date) AddDays(n int) Date { return DateOf(d.Time().AddDate(0, 0, n)) }
