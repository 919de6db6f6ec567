package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

const secret = "s3cr#t/ü"

// as is the URL with a user and the secret for a password.
func as(t *testing.T, databaseURL, user string) *url.URL {
	t.Helper()
	u, err := url.Parse(databaseURL)
	must(t, err)
	u.User = url.UserPassword(user, secret)
	return u
}

func tellsNoSecret(t *testing.T, err error) {
	t.Helper()
	for _, s := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), "s3cr"} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), s) {
			t.Errorf("the password is told: %v", err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is more than a line: %v", err)
	}
}

func TestOpeningWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	there := storetest.URL(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { silent.Close() })

	unreachable := as(t, there, "composerp")
	unreachable.Host = closed.Addr().String()
	mute := as(t, withParameter(there, "connect_timeout", "1"), "composerp")
	mute.Host = silent.Addr().String()
	noDatabase, _ := url.Parse(there)
	noDatabase.Path = "/there_is_none"
	ssl := as(t, withParameter(there, "sslmode", "nonsense"), "composerp")
	for name, c := range map[string]struct {
		url  string
		want error
	}{
		"no URL":             {"", store.ErrConfiguration},
		"no URL at all":      {"postgres://u:" + secret + "%zz@host/db", store.ErrConfiguration},
		"of something else":  {as(t, "mysql://host/db", "u").String(), store.ErrConfiguration},
		"a wrong sslmode":    {ssl.String(), store.ErrConfiguration},
		"unreachable port":   {unreachable.String(), store.ErrUnavailable},
		"nobody answers":     {mute.String(), store.ErrUnavailable},
		"no such database":   {noDatabase.String(), store.ErrAccess},
		"no such user":       {as(t, there, "there_is_none").String(), store.ErrAccess},
		"no TLS on the host": {withParameter(as(t, there, "composerp").String(), "sslmode", "require"), store.ErrConfiguration},
		"wrong password":     {refusing(t, "28P01").String(), store.ErrAccess},
		"starting up":        {refusing(t, "57P03").String(), store.ErrUnavailable},
		"full":               {refusing(t, "53300").String(), store.ErrUnavailable},
		"too old":            {answering(t, "140011").String(), store.ErrConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), store.Config{URL: c.url})
			if err == nil {
				db.Close()
				t.Fatal("it was opened")
			}
			isError(t, err, c.want)
			tellsNoSecret(t, err)
		})
	}
}

// serving is the URL of a server that speaks just enough of the protocol.
func serving(t *testing.T, answer func(conn net.Conn)) *url.URL {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.Read(make([]byte, 4096)) // the startup message
				answer(conn)
			}()
		}
	}()
	return as(t, "postgres://"+listener.Addr().String()+"/composerp?sslmode=disable", "composerp")
}

// message is one of the server's, as the protocol frames it.
func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// refusing lets nobody in, for the reason given.
func refusing(t *testing.T, state string) *url.URL {
	return serving(t, func(conn net.Conn) {
		conn.Write(message('E', "SFATAL\x00VFATAL\x00C"+state+"\x00Mno\x00\x00"))
	})
}

// answering lets everybody in, and answers the first question.
func answering(t *testing.T, answer string) *url.URL {
	return serving(t, func(conn net.Conn) {
		conn.Write(slices.Concat(message('R', "\x00\x00\x00\x00"), message('Z', "I")))
		conn.Read(make([]byte, 4096))
		conn.Write(slices.Concat(
			message('T', "\x00\x01v\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff\x00\x00"),
			message('D', "\x00\x01\x00\x00\x00\x06"+answer), message('C', "SELECT 1\x00"), message('Z', "I")))
	})
}

// mapped runs SQL of the test's own in a transaction and gives the error sorted.
func (p *place) mapped(tx *store.Tx, query string, args ...any) error {
	_, err := tx.SQL().ExecContext(context.Background(), query, args...)
	return store.MapError(err)
}

func TestErrorsOfStatements(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 12)
	p.exec(`CREATE TABLE thing (id int PRIMARY KEY, n int)`)
	p.exec(`INSERT INTO thing VALUES (1, 0), (2, 0)`)
	run := func(name string, check func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { t.Parallel(); check(t) })
	}
	run("lock timeout", func(t *testing.T) {
		holder, waiter := p.begin(), p.begin()
		must(t, p.mapped(holder, `INSERT INTO thing VALUES (10, 0)`))
		must(t, p.mapped(waiter, `SET LOCAL lock_timeout = 50`))
		isError(t, p.mapped(waiter, `INSERT INTO thing VALUES (10, 0)`), store.ErrRetryable)
		holder.Rollback()
	})
	run("statement timeout", func(t *testing.T) {
		tx := p.begin()
		must(t, p.mapped(tx, `SET LOCAL statement_timeout = 20`))
		isError(t, p.mapped(tx, `SELECT pg_sleep(20)`), store.ErrRetryable)
	})
	run("deadlock", func(t *testing.T) {
		one, two := p.begin(), p.begin()
		must(t, p.mapped(one, `UPDATE thing SET n = 1 WHERE id = 1`))
		must(t, p.mapped(two, `UPDATE thing SET n = 1 WHERE id = 2`))
		errs := make(chan error, 2)
		for tx, id := range map[*store.Tx]int{one: 2, two: 1} {
			go func() {
				err := p.mapped(tx, `UPDATE thing SET n = 1 WHERE id = $1`, id)
				tx.Rollback()
				errs <- err
			}()
		}
		if err := errors.Join(<-errs, <-errs); err == nil || !errors.Is(err, store.ErrRetryable) {
			t.Errorf("got %v", err)
		}
	})
	run("serialization", func(t *testing.T) {
		one, two := p.begin(), p.begin()
		for _, tx := range []*store.Tx{one, two} {
			must(t, p.mapped(tx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`))
			must(t, p.mapped(tx, `SELECT FROM thing`))
		}
		must(t, p.mapped(one, `INSERT INTO thing VALUES (20, 0) ON CONFLICT (id) DO UPDATE SET n = thing.n + 1`))
		must(t, one.Commit())
		isError(t, p.mapped(two, `INSERT INTO thing VALUES (20, 0) ON CONFLICT (id) DO UPDATE SET n = thing.n + 1`), store.ErrRetryable)
	})
	run("schema", func(t *testing.T) {
		isError(t, p.mapped(p.begin(), `SELECT FROM nothing`), store.ErrSchema)
		isError(t, p.mapped(p.begin(), `SELECT nothing FROM thing`), store.ErrSchema)
	})
	run("read-only", func(t *testing.T) {
		tx := p.begin()
		must(t, p.mapped(tx, `SET TRANSACTION READ ONLY`))
		isError(t, p.mapped(tx, `INSERT INTO thing VALUES (30, 0)`), store.ErrUnavailable)
	})
	run("a mistake of the caller's", func(t *testing.T) {
		err := p.mapped(p.begin(), `INSERT INTO thing VALUES (1, 0)`)
		for _, kind := range []error{store.ErrRetryable, store.ErrUnavailable, store.ErrAccess, store.ErrSchema, store.ErrNotFound} {
			if errors.Is(err, kind) {
				t.Errorf("%v is taken for %v", err, kind)
			}
		}
	})
	run("a failed transaction does not commit", func(t *testing.T) {
		tx := p.begin()
		must(t, p.mapped(tx, `INSERT INTO thing VALUES (40, 0)`))
		if err := p.mapped(tx, `INSERT INTO thing VALUES (1, 0)`); err == nil {
			t.Fatal("no error")
		}
		if err := tx.Commit(); err == nil {
			t.Error("it was committed")
		}
		if n := value[int](t, p.SQL(), `SELECT count(*) FROM thing WHERE id = 40`); n != 0 {
			t.Error("and it was there")
		}
	})
}

// A call that was cancelled is not one that was slow: nobody should do it again.
func TestACancelledCallIsNotToBeTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	lease, err := p.Acquire(t.Context(), "x", "one")
	must(t, err)
	holder := p.begin()
	must(t, p.mapped(holder, `SELECT FROM lease FOR UPDATE`))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Renew(ctx, lease) }()
	p.waitsForLock(1)
	cancel()
	err = <-done
	isError(t, err, context.Canceled)
	if errors.Is(err, store.ErrRetryable) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("it is also %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	isError(t, p.Renew(late, lease), context.DeadlineExceeded)
	// And the connection it was on is not used again as it is.
	must(t, holder.Rollback())
	for range 10 {
		must(t, p.Renew(t.Context(), lease))
	}
}

// backend is the process that serves a transaction.
func (p *place) backend(tx *store.Tx) int {
	p.Helper()
	var pid int
	must(p, tx.SQL().QueryRow(`SELECT pg_backend_pid()`).Scan(&pid))
	return pid
}

func TestAKilledBackend(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	killer := openAt(t, p.url)
	kill := func(pid int) {
		must2(killer.SQL().Exec(`SELECT pg_terminate_backend($1, 5000)`, pid))(t)
	}
	for _, c := range []struct {
		name string
		next func(tx *store.Tx) error
	}{
		{"between statements", func(tx *store.Tx) error { return tx.Append(t.Context(), anySales(1)) }},
		{"before the commit", func(tx *store.Tx) error { return tx.Commit() }},
		{"and then read", func(tx *store.Tx) error { _, err := tx.Moved(t.Context(), nil); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx := p.begin()
			must(t, tx.Append(t.Context(), anySales(1)))
			kill(p.backend(tx))
			err := c.next(tx)
			isError(t, err, store.ErrUnavailable)
			tx.Rollback()
			// The connection is dropped, all others go on.
			for range 5 {
				must(t, p.InTx(t.Context(), func(tx *store.Tx) error { _, err := tx.Moved(t.Context(), nil); return err }))
			}
		})
	}
	if n := value[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 0 {
		t.Errorf("%d events of killed transactions are in the log", n)
	}
	t.Run("in the middle of a statement", func(t *testing.T) {
		tx := p.begin()
		pid, done := p.backend(tx), make(chan error, 1)
		go func() { done <- p.mapped(tx, `SELECT pg_sleep(60)`) }()
		eventually(t, "it sleeps", func() bool {
			return value[int](t, killer.SQL(), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'`, pid) == 1
		})
		kill(pid)
		isError(t, <-done, store.ErrUnavailable)
		tx.Rollback()
		p.append(sale("a"))
	})
	t.Run("idle too long in a transaction", func(t *testing.T) {
		hasty := &place{TB: t, DB: openAt(t, withParameter(p.url, "idle_in_transaction_session_timeout", "20")), url: p.url}
		tx := hasty.begin()
		pid := hasty.backend(tx)
		eventually(t, "it is gone", func() bool {
			return value[int](t, killer.SQL(), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, pid) == 0
		})
		isError(t, tx.Append(t.Context(), anySales(1)), store.ErrUnavailable)
		tx.Rollback()
	})
}

// A socket that dies in the middle of an answer leaves lib/pq's connection
// unusable: it must not come back from the pool.
func TestAPoisonedConnectionIsDropped(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	cut := newCutter(t, p.url)
	through := &place{TB: t, DB: openAt(t, cut.url), url: cut.url}
	through.append(sale("a"))
	for range 3 {
		tx := through.begin()
		rows, err := tx.SQL().Query(`SELECT repeat('x', 1000) FROM generate_series(1, 100000)`)
		must(t, err)
		rows.Next()
		cut.all()
		for rows.Next() {
		}
		rows.Close()
		err = tx.Append(t.Context(), anySales(1))
		isError(t, err, store.ErrUnavailable)
		tx.Rollback()
		for range 5 {
			must(t, through.InTx(t.Context(), func(tx *store.Tx) error { _, err := tx.Moved(t.Context(), nil); return err }))
		}
	}
}
