package clock

import "time"

// Seldom thins out a log line that repeats: it is due at once, then 10 s later, and after pauses that double up to
// 5 min. The zero value is ready; one goroutine uses it.
type Seldom struct {
	last  time.Time // when it was due
	pause time.Duration
}

const firstPause, longestPause = 10 * time.Second, 5 * time.Minute

// Due reports whether the line is worth writing again now.
func (s *Seldom) Due() bool {
	if !s.dueAfter(time.Since(s.last)) {
		return false
	}
	s.last = time.Now()
	return true
}

// Reset makes the next line due: what it told of is over.
func (s *Seldom) Reset() { *s = Seldom{} }

// dueAfter reports whether the line is due so long after it was due last.
func (s *Seldom) dueAfter(since time.Duration) bool {
	if since < s.pause {
		return false
	}
	s.pause = min(max(firstPause, 2*s.pause), longestPause)
	return true
}
