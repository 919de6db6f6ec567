package importer

import (
	"fmt"
	"unicode/utf8"
)

// record is one row as the file has it: columns with names, before any mapping.
type record struct {
	line   int64  // the physical line it begins on
	raw    string // the row as it stands in the file, without its line end
	names  []string
	values []string
	// order lists the columns by name, so that a file with its columns in another order has the same content.
	order []int
	// uniform says that all records of the file have these names, as those of CSV have.
	uniform bool
	// problem says why this is no row at all; nil when it is one.
	problem *Rejection
}

// records gives a file's rows one by one, and io.EOF behind the last. A record is valid until the next call.
type records interface {
	next() (*record, error)
}

// Rejection says why a row became no event: a reason to count by, and a detail by which the row can be corrected.
type Rejection struct {
	Reason string
	Detail string
}

// Error gives reason and detail.
func (r *Rejection) Error() string { return r.Reason + ": " + r.Detail }

// The importer's own reasons. Those of a mapping's reject rules stand beside them.
const (
	ReasonMalformed  = "malformed_row"     // not CSV, not a JSON object
	ReasonTooLong    = "row_too_long"      // more than maxRow bytes
	ReasonNotUTF8    = "not_utf8"          // bytes that are no text
	ReasonFieldCount = "wrong_field_count" // another number of fields than the header
	ReasonBadNumber  = "bad_number"        // a column that should be a number is none
	ReasonBadTime    = "bad_time"          // a column that should be a time is none
	ReasonNoRule     = "no_rule"           // no rule of the mapping matches
	ReasonInvalid    = "invalid_event"     // what the row says is no event of its type
	ReasonNotOutside = "not_from_outside"  // an event only Composerp's own workers say
	ReasonConflict   = "conflict"          // another event with this id is in the log
	ReasonUntimely   = "untimely"          // its business time is out of its tenant's bounds
)

func reject(reason, format string, args ...any) *Rejection {
	return &Rejection{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// checkText refuses bytes that are not UTF-8, and says where they are.
func checkText(raw []byte) *Rejection {
	if utf8.Valid(raw) {
		return nil
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && size <= 1 {
			return reject(ReasonNotUTF8, "byte %#02x at position %d of the row is not UTF-8", raw[i], i+1)
		}
		i += size
	}
}
