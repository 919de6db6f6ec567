package store_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

const secret = "s3cr#t/ü"

// as is the URL with a user and the secret for a password.
func as(t *testing.T, databaseURL, user string) *url.URL {
	t.Helper()
	u, err := url.Parse(databaseURL)
	storetest.Must(t, err)
	u.User = url.UserPassword(user, secret)
	return u
}

func checkNoSecret(t *testing.T, err error) {
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
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	storetest.Must(t, err)
	t.Cleanup(func() { silent.Close() })

	unreachable := as(t, there, "composerp")
	unreachable.Host = "127.0.0.1:1" // a port chosen as free may be taken by another test the next moment
	mute := as(t, storetest.WithParameter(there, "connect_timeout", "1"), "composerp")
	mute.Host = silent.Addr().String()
	noDatabase, _ := url.Parse(there)
	noDatabase.Path = "/there_is_none"
	ssl := as(t, storetest.WithParameter(there, "sslmode", "nonsense"), "composerp")
	for name, c := range map[string]struct {
		url  string
		want error
	}{
		"no URL":             {"", store.ErrConfiguration},
		"no URL at all":      {"postgres://u:" + secret + "%zz@host/db", store.ErrConfiguration},
		"of something else":  {as(t, "mysql://host/db", "u").String(), store.ErrConfiguration},
		"a wrong sslmode":    {ssl.String(), store.ErrConfiguration},
		"unreachable port":   {unreachable.String(), store.ErrUnavailable},
		"no answer":          {mute.String(), store.ErrUnavailable},
		"no such database":   {noDatabase.String(), store.ErrAccess},
		"no such user":       {as(t, there, "there_is_none").String(), store.ErrAccess},
		"no TLS on the host": {storetest.WithParameter(as(t, there, "composerp").String(), "sslmode", "require"), store.ErrConfiguration},
		"wrong password":     {refusing(t, "28P01").String(), store.ErrAccess},
		"starting up":        {refusing(t, "57P03").String(), store.ErrUnavailable},
		"closed to all":      {refusing(t, "55000").String(), store.ErrUnavailable},
		"full":               {refusing(t, "53300").String(), store.ErrUnavailable},
		// The password comes first.
		"unknown parameter": {storetest.WithParameter(as(t, there, "composerp").String(), "keepalives_x", "1"), store.ErrAccess},
		"too old":           {answering(t, "140011").String(), store.ErrConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), store.Config{URL: c.url})
			if err == nil {
				db.Close()
				t.Fatal("it was opened")
			}
			storetest.IsError(t, err, c.want)
			checkNoSecret(t, err)
		})
	}
}

// serving is the URL of a server that speaks a small part of the protocol.
func serving(t *testing.T, answer func(conn net.Conn)) *url.URL {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	storetest.Must(t, err)
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

// message is a server message in the protocol's framing.
func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// refusing refuses every client, for the reason given.
func refusing(t *testing.T, state string) *url.URL {
	return serving(t, func(conn net.Conn) {
		conn.Write(message('E', "SFATAL\x00VFATAL\x00C"+state+"\x00Mno\x00\x00"))
	})
}

// answering accepts every client, takes its settings, and answers the first query.
func answering(t *testing.T, answer string) *url.URL {
	return serving(t, func(conn net.Conn) {
		conn.Write(slices.Concat(message('R', "\x00\x00\x00\x00"), message('Z', "I")))
		conn.Read(make([]byte, 4096))
		conn.Write(slices.Concat(message('C', "SET\x00"), message('Z', "I")))
		conn.Read(make([]byte, 4096))
		conn.Write(slices.Concat(
			message('T', "\x00\x01v\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff\x00\x00"),
			message('D', "\x00\x01\x00\x00\x00\x06"+answer), message('C', "SELECT 1\x00"), message('Z', "I")))
	})
}

// Whatever characters a password has, the server gets it as it is.
func TestHostilePasswords(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"a,b", "100%", "%2C", "p@ss:w/rd?#&=", `'"\ $(x)`, "ü € ", "a,postgres://u", "+"} {
		got := make(chan string, 1)
		u := serving(t, func(conn net.Conn) {
			conn.Write(message('R', "\x00\x00\x00\x03")) // asks for it in the clear
			sent := make([]byte, 4096)
			n, _ := conn.Read(sent)
			got <- string(sent[min(n, 5):n])
			conn.Write(message('E', "SFATAL\x00VFATAL\x00C28P01\x00Mno\x00\x00"))
		})
		u.User = url.UserPassword("composerp", password)
		_, err := store.Open(t.Context(), store.Config{URL: u.String()})
		storetest.IsError(t, err, store.ErrAccess)
		if sent := <-got; sent != password+"\x00" || strings.Contains(err.Error(), password) && len(password) > 1 {
			t.Errorf("%q came as %q, with the error %v", password, sent, err)
		}
	}
}
