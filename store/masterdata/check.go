package masterdata

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/composerp/composerp/exchange/event"
)

// The checks that fields of several kinds of master data share.

const (
	maxID   = 64
	maxName = 255
)

// checkID applies the rules for ids in events.
func checkID(field, id string) error {
	switch {
	case id == "":
		return invalid(field, "missing")
	case len(id) > maxID:
		return invalid(field, "want at most %d bytes, got %d", maxID, len(id))
	}
	return checkPlain(field, id)
}

func checkName(field, name string) error {
	if n := utf8.RuneCountInString(name); n > maxName {
		return invalid(field, "want at most %d characters, got %d", maxName, n)
	}
	return checkPlain(field, strings.NewReplacer("\t", "", "\n", "").Replace(name))
}

func checkPlain(field, text string) error {
	if !utf8.ValidString(text) {
		return invalid(field, "want UTF-8, got %q", text)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return invalid(field, "want no control characters, got %q", text)
	}
	return nil
}

// checkLocation is checkID for a location that can hold goods.
func checkLocation(field, id string) error {
	if IsVirtual(id) {
		return invalid(field, "%q: names that begin with @ are the ledger's own", id)
	}
	return checkID(field, id)
}

func checkNotNegative(field string, d *event.Decimal) error {
	if d != nil && d.Sign() < 0 {
		return invalid(field, "want 0 or more, got %s", d)
	}
	return checkDigits(field, d)
}

func checkPositive(field string, d *event.Decimal) error {
	if d != nil && d.Sign() <= 0 {
		return invalid(field, "want more than 0, got %s", d)
	}
	return checkDigits(field, d)
}

// checkDigits refuses a number that no event could carry.
func checkDigits(field string, d *event.Decimal) error {
	if d == nil {
		return nil
	}
	if _, err := d.MarshalJSON(); err != nil {
		return invalid(field, "%v", err)
	}
	return nil
}

func checkRange(field string, n, least, most int) error {
	if n < least || n > most {
		return invalid(field, "want %d to %d, got %d", least, most, n)
	}
	return nil
}

// firstError returns the first non-nil error.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
