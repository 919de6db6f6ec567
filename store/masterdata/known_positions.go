package masterdata

import (
	"hash/maphash"
	"sync"
)

// KnownPositions remembers, by a hash of the position, the ids of rows that this process has locked and found
// committed: they exist for every transaction, and are found by their ids faster than by their keys. An id may be
// wrong, by collision or after a restore: PositionRows checks what it really locked.
type KnownPositions struct {
	mu  sync.RWMutex
	ids map[uint64]int64
}

// maxKnownPositions bounds the memory to a few megabytes; beyond it everything is forgotten.
const maxKnownPositions = 200_000

var seenSeed = maphash.MakeSeed()

// IDs returns the rows' ids, 0 where a position has not been seen.
func (s *KnownPositions) IDs(keys []PositionKey) []int64 {
	ids := make([]int64, len(keys))
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, k := range keys {
		ids[i] = s.ids[maphash.Comparable(seenSeed, k)]
	}
	return ids
}

// Add remembers rows that are committed.
func (s *KnownPositions) Add(rows map[PositionKey]int64) {
	if len(rows) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil || len(s.ids)+len(rows) > maxKnownPositions {
		s.ids = map[uint64]int64{}
	}
	for k, id := range rows {
		s.ids[maphash.Comparable(seenSeed, k)] = id
	}
}
