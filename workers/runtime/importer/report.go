package importer

import (
	"maps"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// Tally counts what became of rows: Rows is Admitted and Duplicates and all of Rejected together.
type Tally struct {
	Rows int64 `json:"rows"`
	// Admitted are in the log by this import.
	Admitted int64 `json:"admitted"`
	// Duplicates were in the log already, byte for byte.
	Duplicates int64 `json:"duplicates"`
	// Rejected counts the lines of the rejects file by reason.
	Rejected map[string]int64 `json:"rejected"`
	// Events counts those admitted and duplicate by type.
	Events map[event.Type]int64 `json:"events"`
	// SkippedTimes are events with a local time that clocks never showed, RepeatedTimes those with one that they showed
	// twice.
	SkippedTimes  OddTimes `json:"skippedTimes,omitzero"`
	RepeatedTimes OddTimes `json:"repeatedTimes,omitzero"`
}

// OddTimes counts rows with a local time that is not one moment, and names the first.
type OddTimes struct {
	Rows int64  `json:"rows"`
	Line int64  `json:"line"` // of the first
	Time string `json:"time"` // of the first, as the file has it
}

func (t *Tally) countTime(o origin) {
	into := &t.SkippedTimes
	switch o.odd {
	case once:
		return
	case repeated:
		into = &t.RepeatedTimes
	case skipped:
	}
	if into.Rows++; into.Rows == 1 {
		into.Line, into.Time = o.line, o.oddText
	}
}

// RejectedTotal is the number of all rejected rows.
func (t Tally) RejectedTotal() int64 {
	var n int64
	for _, c := range t.Rejected {
		n += c
	}
	return n
}

// Reject counts a rejected row.
func (t *Tally) Reject(reason string) {
	if t.Rejected == nil {
		t.Rejected = map[string]int64{}
	}
	t.Rejected[reason]++
}

// clone gives a copy that can be counted on without changing t.
func (t Tally) clone() Tally {
	t.Rejected, t.Events = maps.Clone(t.Rejected), maps.Clone(t.Events)
	if t.Rejected == nil {
		t.Rejected = map[string]int64{}
	}
	if t.Events == nil {
		t.Events = map[event.Type]int64{}
	}
	return t
}

// Report is what came of an import. Its tally is of the whole file, also when the import was interrupted and has
// gone on.
type Report struct {
	File string `json:"file"`
	Tally
	// ResumedAt is the number of rows that an interrupted import of the same file had behind it; 0 when it began anew.
	ResumedAt int64 `json:"resumedAt,omitzero"`
	// RejectsFile has the rejected rows; empty when there are none, and then there is no such file.
	RejectsFile string        `json:"rejectsFile,omitzero"`
	Elapsed     time.Duration `json:"-"`
	ElapsedMs   int64         `json:"elapsedMs"`
}

// Phase is what an import is doing.
type Phase string

// The phases, in their order: the first two of an import of events, the others of a Table.
const (
	// PhaseSurvey reads the whole file once: is it whole, and which of its rows are there more than once?
	PhaseSurvey Phase = "survey"
	// PhaseImport reads it again and writes events to the log.
	PhaseImport Phase = "import"
	// PhaseCheck reads a whole Table once: is every line of it right?
	PhaseCheck Phase = "check"
	// PhaseWrite reads it again and writes what it says.
	PhaseWrite Phase = "write"
)

// Progress says how far an import has come. Each phase goes from 0 to Size.
type Progress struct {
	Phase Phase
	// Bytes of Size are done, of the file as it lies on disk.
	Bytes, Size int64
	// TotalRows is known once the survey is done.
	TotalRows int64
	// Tally is empty during the survey but for its rows.
	Tally Tally
}
