package importer

import "github.com/composerp/composerp/workers/runtime/importer/rowfile"

// Rejection says why a row became no event.
type Rejection = rowfile.Rejection

// The importer's own reasons. Those of rows that cannot be read are rowfile's, and those of a mapping's reject rules
// stand beside them.
const (
	ReasonBadNumber  = "bad_number"       // a column that should be a number is none
	ReasonBadTime    = "bad_time"         // a column that should be a time is none
	ReasonNoRule     = "no_rule"          // no rule of the mapping matches
	ReasonInvalid    = "invalid_event"    // what the row says is no event of its type
	ReasonNotOutside = "not_from_outside" // an event only Composerp's own workers say
	ReasonNoKey      = "no_key"           // the columns of the mapping's identity are empty
	ReasonConflict   = "conflict"         // the row's event is in the log and says something else
)

// A row whose event is refused has the outcome's name as its reason: see eventlog.Admission.
