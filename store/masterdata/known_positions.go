package masterdata

import (
	"hash/maphash"
	"sync"
)

// KnownPositions remembers, by hash, which positions this process has locked and found committed: they exist for every
// transaction. A false hit, by collision or after a restore, costs at most a resolved deadlock: PositionRows checks
// what it really locked.
type KnownPositions struct {
	mu     sync.RWMutex
	hashes map[uint64]struct{}
}

// maxKnownPositions bounds the memory to a few megabytes; beyond it everything is forgotten.
const maxKnownPositions = 200_000

var seenSeed = maphash.MakeSeed()

// Unknown returns the keys that have not been seen.
func (s *KnownPositions) Unknown(keys []PositionKey) (unknown []PositionKey) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, k := range keys {
		if _, known := s.hashes[maphash.Comparable(seenSeed, k)]; !known {
			unknown = append(unknown, k)
		}
	}
	return unknown
}

// Add remembers positions that are committed.
func (s *KnownPositions) Add(keys []PositionKey) {
	if len(s.Unknown(keys)) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hashes == nil || len(s.hashes)+len(keys) > maxKnownPositions {
		s.hashes = map[uint64]struct{}{}
	}
	for _, k := range keys {
		s.hashes[maphash.Comparable(seenSeed, k)] = struct{}{}
	}
}
