package eventlog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// snapshot is a pg_snapshot: every transaction below xmin has ended, none from xmax on had begun, and those in
// progress were open (PostgreSQL manual, 9.27.7).
type snapshot struct {
	xmin, xmax uint64
	inProgress []uint64 // ascending
}

// parseSnapshot reads "xmin:xmax:xip,xip,...".
func parseSnapshot(text string) (snapshot, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return snapshot{}, fmt.Errorf("reading the snapshot %q: want xmin:xmax:list", text)
	}
	var s snapshot
	var err error
	if s.xmin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return snapshot{}, fmt.Errorf("reading the snapshot %q: %w", text, err)
	}
	if s.xmax, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return snapshot{}, fmt.Errorf("reading the snapshot %q: %w", text, err)
	}
	for _, field := range strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' }) {
		xid, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return snapshot{}, fmt.Errorf("reading the snapshot %q: %w", text, err)
		}
		s.inProgress = append(s.inProgress, xid)
	}
	return s, nil
}

// ended reports whether the transaction had committed or rolled back.
func (s snapshot) ended(xid uint64) bool {
	if xid < s.xmin {
		return true
	}
	_, open := slices.BinarySearch(s.inProgress, xid)
	return xid < s.xmax && !open
}

// endedSince reports whether a transaction in progress in s has ended in now.
func (s snapshot) endedSince(now snapshot) bool {
	return slices.ContainsFunc(s.inProgress, now.ended)
}
