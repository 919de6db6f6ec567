package importer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/composerp/composerp/store/storetest"
)

// TestDatabaseAway drops the connections of an import in its middle: it goes on by itself. An autovacuum worker
// has no user, and only a superuser may terminate it.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	l := newTill(t)
	o := l.options()
	batches := 0
	o.Progress = func(p Progress) {
		if batches++; p.Phase == PhaseImport && batches%4 == 1 {
			storetest.Exec(t, l.url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`)
		}
	}
	report, err := Run(t.Context(), o)
	must(t, err)
	wantTally(t, report, tillEvents, 0)
	l.check(t)
}

// TestCommitUnknown loses the database's answer to a commit that was done: nothing is counted twice.
func TestCommitUnknown(t *testing.T) {
	t.Parallel()
	l := newTill(t)
	u, err := url.Parse(l.url)
	must(t, err)
	proxy := &silencer{server: u.Host}
	u.Host = proxy.listen(t)
	direct := l.db
	l.db = storetest.Open(t, u.String(), 2)
	o := l.options()
	batches := 0
	o.Progress = func(p Progress) {
		if batches++; p.Phase == PhaseImport && batches == 4 {
			proxy.armed.Store(true)
		}
	}
	report, err := Run(t.Context(), o)
	must(t, err)
	if proxy.armed.Load() {
		t.Fatal("no commit was lost")
	}
	l.db = direct
	wantTally(t, report, tillEvents, 0)
	l.check(t)
}

// silencer stands between a client and its server. Armed, it lets the next commit through and hangs up on the
// client when the answer comes.
type silencer struct {
	server string
	armed  atomic.Bool
}

func (s *silencer) listen(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(client)
		}
	}()
	return l.Addr().String()
}

func (s *silencer) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", s.server)
	if err != nil {
		return
	}
	defer server.Close()
	var committing atomic.Bool
	go func() {
		defer server.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := client.Read(b)
			if bytes.Contains(b[:n], []byte("COMMIT")) && s.armed.CompareAndSwap(true, false) {
				committing.Store(true)
			}
			if _, err := server.Write(b[:n]); err != nil {
				return
			}
			if err != nil {
				return
			}
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := server.Read(b)
		if committing.Load() {
			return // the server has answered, so it has committed
		}
		if _, err := client.Write(b[:n]); err != nil {
			return
		}
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			return
		}
	}
}
