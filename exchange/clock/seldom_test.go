package clock

import (
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	t.Parallel()
	var s Seldom
	last := time.Duration(0)
	count := func(from, to time.Duration) (n int) {
		for at := from; at < to; at += 500 * time.Millisecond {
			if s.dueAfter(at - last) {
				last = at
				n++
			}
		}
		return n
	}
	if n := count(0, 15*time.Second); n != 2 {
		t.Errorf("%d lines in the first 15 s, want 2", n)
	}
	if n := count(15*time.Second, time.Hour); n < 12 || n > 18 {
		t.Errorf("%d lines in the rest of an hour, want one in 5 min after a while", n)
	}
	s.Reset()
	if !s.Due() || s.Due() {
		t.Error("after a reset not one line is due")
	}
}
