package masterdata

import (
	"hash/maphash"
	"sync"
)

// seenPositions remembers which positions this process has locked and found
// committed: they are there for everybody. It knows them by a hash. That it takes a new one for one it has seen,
// by a collision or because the database was restored, costs no more than a
// deadlock that is resolved: LockPositions looks at what it really locked.
type KnownPositions struct {
	mu     sync.RWMutex
	hashes map[uint64]struct{}
}

// seenAtMost bounds the memory to a few megabytes; beyond it all is forgotten.
const seenAtMost = 200_000

var seenSeed = maphash.MakeSeed()

// strange gives the keys that have not been seen.
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

func (s *KnownPositions) Add(keys []PositionKey) {
	if len(s.Unknown(keys)) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hashes == nil || len(s.hashes)+len(keys) > seenAtMost {
		s.hashes = map[uint64]struct{}{}
	}
	for _, k := range keys {
		s.hashes[maphash.Comparable(seenSeed, k)] = struct{}{}
	}
}
