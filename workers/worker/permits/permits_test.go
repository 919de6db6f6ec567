package permits_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/composerp/composerp/workers/worker/permits"
)

// At no time are more permits out than there are, whatever their number becomes, and each that is free is taken.
func TestPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var p permits.Permits
		out := 0
		back := make(chan struct{})
		for range 10 {
			go func() {
				for p.Acquire(ctx) {
					out++
					<-back
					out--
					p.Release()
				}
			}()
		}
		want := func(n int) {
			t.Helper()
			if synctest.Wait(); out != n {
				t.Errorf("%d permits are out, want %d", out, n)
			}
		}
		want(0)
		p.Resize(3)
		want(3)
		p.Resize(7)
		want(7)
		p.Resize(2)
		want(7)
		for n := 6; n >= 2; n-- {
			back <- struct{}{}
			want(n)
		}
		back <- struct{}{}
		want(2)
		stop()
		for range 2 {
			back <- struct{}{}
		}
		want(0)
	})
}
