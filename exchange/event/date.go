package event

import "time"

// Date is a calendar day without a zone, written "2026-03-09". Dates compare as strings do: earlier is less. The
// zero value is no date.
type Date string

// DateOf gives the day of t in t's own location.
func DateOf(t time.Time) Date { return Date(t.Format(time.DateOnly)) }

// ParseDate reads "2026-03-09". The error is a *FieldError without a field.
func ParseDate(s string) (Date, error) {
	if problem := checkDate(s); problem != "" {
		return "", &FieldError{Problem: problem + ", got " + quote(s)}
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

// AddDays gives the day n days later, or earlier when n is negative. No date gives no date.
func (d Date) AddDays(n int) Date {
	if d == "" {
		return ""
	}
	return DateOf(d.Time().AddDate(0, 0, n))
}
