package event

import "time"

// Date is a calendar day without a time zone, such as "2026-03-09". Dates compare as strings: earlier is less. The
// zero value means no date.
type Date string

// DateOf returns the day of t in t's location.
func DateOf(t time.Time) Date { return Date(t.Format(time.DateOnly)) }

// ParseDate reads "2026-03-09". The error is a *FieldError without a field.
func ParseDate(s string) (Date, error) {
	if problem := checkDate(s); problem != "" {
		return "", &FieldError{Problem: problem + ", got " + quote(s)}
	}
	return Date(s), nil
}

// Time returns the day's midnight in UTC, and the zero time when d is not a date.
func (d Date) Time() time.Time {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return time.Time{}
	}
	return t
}

// AddDays returns the day n days later, or earlier when n is negative. The zero Date stays zero.
func (d Date) AddDays(n int) Date {
	if d == "" {
		return ""
	}
	return DateOf(d.Time().AddDate(0, 0, n))
}
