package store_test

import (
	"crypto/rand"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

// TestThroughPgBouncer has a session mode that works with its settings, and a transaction mode that is refused at once.
func TestThroughPgBouncer(t *testing.T) {
	t.Parallel()
	there := storetest.URL(t)
	t.Run("session", func(t *testing.T) {
		t.Parallel()
		for _, connections := range []int{1, 4} {
			db, err := store.Open(t.Context(), store.Config{URL: localtest.PgBouncer(t, there, "session"), Connections: connections})
			storetest.Must(t, err)
			t.Cleanup(func() { db.Close() })
			for name, want := range map[string]string{"lock_timeout": "10s", "default_transaction_isolation": "read committed", "enable_seqscan": "off", "TimeZone": "UTC"} {
				if got := storetest.One[string](t, pg.Pool(db), `SELECT current_setting($1)`, name); got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
			}
		}
	})
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			for _, connections := range []int{1, 4} {
				_, err := store.Open(t.Context(), store.Config{URL: localtest.PgBouncer(t, there, mode), Connections: connections})
				storetest.IsError(t, err, store.ErrConfiguration)
				if text := err.Error(); !strings.Contains(text, "PgBouncer") || !strings.Contains(text, "pool_mode = session") || strings.Contains(text, "\n") {
					t.Errorf("want what to do, in a line: %v", err)
				}
			}
		})
	}
	t.Run("a parameter of the URL", func(t *testing.T) {
		t.Parallel()
		at := storetest.WithParameter(localtest.PgBouncer(t, there, "session"), "work_mem", "8MB")
		_, err := store.Open(t.Context(), store.Config{URL: at})
		storetest.IsError(t, err, store.ErrConfiguration)
		if !strings.Contains(err.Error(), "ignore_startup_parameters") {
			t.Errorf("want what to do: %v", err)
		}
	})
}

// TestParametersOfTheURL has what other clients take in a URL honoured, or refused with a line that is true.
func TestParametersOfTheURL(t *testing.T) {
	t.Parallel()
	there := storetest.URL(t)
	hosts := func(hosts ...string) string {
		u, err := url.Parse(there)
		storetest.Must(t, err)
		for i, host := range hosts {
			if host == "" {
				hosts[i] = u.Host
			}
		}
		u.Host = strings.Join(hosts, ",")
		u.RawQuery = ""
		return u.String()
	}
	for name, c := range map[string]struct {
		url  string
		want error
		line string
	}{
		"two hosts, the first away":     {hosts("127.0.0.1:1", ""), nil, ""},
		"two hosts, the second away":    {hosts("", "localhost:1"), nil, ""},
		"two hosts, both away":          {hosts("127.0.0.1:1", "localhost:1"), store.ErrUnavailable, "127.0.0.1:1"},
		"two hosts, one without a port": {hosts("", "localhost"), nil, ""},
		"a certificate that is missing": {storetest.WithParameter(hosts(""), "sslrootcert", "/none.crt"), store.ErrConfiguration, "/none.crt"},
		"the one that takes writes":     {storetest.WithParameter(hosts("127.0.0.1:1", ""), "target_session_attrs", "read-write"), nil, ""},
		"a standby, and there is none":  {storetest.WithParameter(hosts(""), "target_session_attrs", "standby"), store.ErrUnavailable, "standby"},
		"an attribute that is not":      {storetest.WithParameter(there, "target_session_attrs", "leader"), store.ErrConfiguration, "target_session_attrs"},
		"channel_binding":               {storetest.WithParameter(there, "channel_binding", "require"), store.ErrConfiguration, "channel_binding"},
		"a parameter of other drivers":  {storetest.WithParameter(there, "pool_max_conns", "3"), store.ErrConfiguration, "pool_max_conns"},
		"a setting of the server":       {storetest.WithParameter(there, "work_mem", "8MB"), nil, ""},
		"a value that it does not take": {storetest.WithParameter(there, "work_mem", "much"), store.ErrConfiguration, "work_mem"},
		"a setting that needs a start":  {storetest.WithParameter(there, "shared_buffers", "8MB"), store.ErrConfiguration, "shared_buffers"},
		"a setting of ours":             {storetest.WithParameter(there, "lock_timeout", "3000"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), store.Config{URL: c.url})
			if err == nil {
				db.Close()
			}
			if c.want == nil {
				storetest.Must(t, err)
				return
			}
			storetest.IsError(t, err, c.want)
			if !strings.Contains(err.Error(), c.line) || strings.Contains(err.Error(), "\n") {
				t.Errorf("want a line with %s: %v", c.line, err)
			}
		})
	}
}

// TestASilentHostIsPassedOver counts the connections to the first of two hosts, which takes them and says nothing: the
// first of all, and none after that.
func TestASilentHostIsPassedOver(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	storetest.Must(t, err)
	defer silent.Close()
	var taken atomic.Int32
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			taken.Add(1)
		}
	}()
	u, err := url.Parse(storetest.URL(t))
	storetest.Must(t, err)
	u.Host = silent.Addr().String() + "," + u.Host
	db, err := store.Open(t.Context(), store.Config{URL: storetest.WithParameter(u.String(), "connect_timeout", "3"), Connections: 4})
	storetest.Must(t, err)
	defer db.Close()
	for range 4 {
		tx, err := db.Begin(t.Context())
		storetest.Must(t, err)
		defer tx.Rollback()
	}
	if n := taken.Load(); n != 1 {
		t.Errorf("the silent host was asked for %d connections, want 1", n)
	}
}

func TestAnotherEncodingIsRefused(t *testing.T) {
	t.Parallel()
	server, name := localtest.Database(t), "latin_"+strings.ToLower(rand.Text())
	storetest.Exec(t, server, `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`)
	t.Cleanup(func() { storetest.Must(t, storetest.Drop(server, name)) })
	u, err := url.Parse(server)
	storetest.Must(t, err)
	u.Path = "/" + name
	_, err = store.Open(t.Context(), store.Config{URL: u.String()})
	storetest.IsError(t, err, store.ErrConfiguration)
	if !strings.Contains(err.Error(), "LATIN1") || !strings.Contains(err.Error(), "ENCODING 'UTF8'") {
		t.Errorf("want what to do: %v", err)
	}
}
