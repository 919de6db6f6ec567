package clock

import "time"

// Seldom thins out a log line that repeats: it is due at once, then 10 s later, and after pauses that double up to
// 5 min. The zero value is ready; one goroutine uses it.
type Seldom struct {
	next  time.Time
	pause time.Duration
}

const firstPause, longestPause = 10 * time.Second, 5 * time.Minute

// Due reports whether the line is worth writing again now.
func (s *Seldom) Due() bool { return s.dueAt(time.Now()) }

// Reset makes the next line due: what it told of is over.
func (s *Seldom) Reset() { *s = Seldom{} }

func (s *Seldom) dueAt(now time.Time) bool {
	if now.Before(s.next) {
		return false
	}
	s.pause = min(max(firstPause, 2*s.pause), longestPause)
	s.next = now.Add(s.pause)
	return true
}
