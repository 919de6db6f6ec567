package rabbitmq

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/certificates"
)

// link is one connection and the socket under it.
type link struct {
	*amqp.Connection
	socket *watchedConn
	writes *gatheringConn // what the library writes, before encryption
	url    string         // without its password
	user   string         // by which the broker knows this client; "" when that is not known
	fleet  []string
}

// watchedConn is a socket that stays open for as long as something arrives now and then, at least a heartbeat.
//
// The library leaves that to the goroutine that sends our own heartbeats. During an alarm that goroutine waits behind
// a hanging write, and the library would close the connection although the broker's heartbeats arrive; with it would
// end the session and its consumers, which must go on.
type watchedConn struct {
	net.Conn
	timeout atomic.Int64 // nanoseconds; 0 during the handshake, which has its own deadline
}

func (a *watchedConn) Read(b []byte) (int, error) {
	if timeout := time.Duration(a.timeout.Load()); timeout > 0 {
		if err := a.SetReadDeadline(time.Now().Add(timeout)); err != nil {
			return 0, err
		}
	}
	return a.Conn.Read(b)
}

// gatheringConn writes in one piece what is written while it is held. The library writes each message by a system call
// of its own, which costs both sides more than the message does.
//
// While it is held for long, what gathers is written in pieces of gatherSize. An error of such a write is returned by
// the next one, as with a socket, whose errors come late too.
type gatheringConn struct {
	net.Conn
	mu       sync.Mutex
	holders  int
	gathered []byte
	failed   error
}

const gatherSize = 32 << 10

func (g *gatheringConn) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holders++
}

// release writes what has gathered unless another holds it still.
func (g *gatheringConn) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holders--; g.holders > 0 {
		return nil
	}
	return g.flush()
}

// Write implements net.Conn.
func (g *gatheringConn) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.failed != nil:
		return 0, g.failed
	case g.holders == 0:
		return g.Conn.Write(b)
	}
	g.gathered = append(g.gathered, b...)
	if len(g.gathered) < gatherSize {
		return len(b), nil
	}
	return len(b), g.flush()
}

func (g *gatheringConn) flush() error {
	if g.failed == nil && len(g.gathered) > 0 {
		_, g.failed = g.Conn.Write(g.gathered)
		g.gathered = g.gathered[:0]
	}
	return g.failed
}

// product is what the management UI shows as the client of a connection.
const product = "Composerp"

// dial opens one connection. Its name and its client properties include the role (publishing, consuming, declaring).
// Errors name the URL without its password.
func dial(ctx context.Context, config Config, url, role string) (*link, error) {
	uri, err := amqp.ParseURI(url)
	if err != nil {
		return nil, ErrBadURL // its text may quote the password
	}
	l := &link{url: displayURL(uri), user: userOf(url, uri), fleet: config.Fleet}
	if err := l.open(ctx, config, url, role); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("connecting to %s: %w", l.url, err)
	}
	return l, nil
}

// firstHost tries the hosts in turn and returns the first success, or the errors of all.
func firstHost[T any](config Config, try func(url string) (T, error)) (T, error) {
	var found problems
	for _, url := range config.URLs {
		result, err := try(url)
		if err == nil {
			return result, nil
		}
		found = append(found, err)
	}
	var none T
	if found == nil {
		return none, fmt.Errorf("no URL given: %w", ErrBadURL)
	}
	return none, found
}

func (l *link) open(ctx context.Context, config Config, url, role string) error {
	properties := amqp.NewConnectionProperties() // a new map per dial: the library writes into it
	properties.SetClientConnectionName(config.connectionName(role))
	properties["product"], properties["version"], properties["role"] = product, cmp.Or(config.Version, "unknown"), role
	var stop func() bool
	deadline := time.Now().Add(config.DialTimeout)
	encrypted, plain, err := withoutTLS(url, config.Log)
	if err != nil {
		return err
	}
	connection, err := amqp.DialConfig(plain, amqp.Config{
		Heartbeat:  config.Heartbeat,
		Properties: properties,
		Dial: func(network, address string) (net.Conn, error) {
			dialer := net.Dialer{Deadline: deadline}
			socket, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			l.socket = &watchedConn{Conn: socket}
			stop = context.AfterFunc(ctx, func() { _ = socket.Close() })
			if err := socket.SetDeadline(deadline); err != nil { // the library clears it after the handshake
				return nil, err
			}
			if encrypted == nil {
				l.writes = &gatheringConn{Conn: l.socket}
				return newFramedConn(l.writes), nil
			}
			secure := tls.Client(l.socket, encrypted)
			l.writes = &gatheringConn{Conn: secure}
			return newFramedConn(l.writes), secure.HandshakeContext(ctx)
		},
	})
	interrupted := stop != nil && !stop()
	if err == nil && interrupted {
		err = ctx.Err()
	}
	switch {
	case err == nil:
		l.Connection = connection
		l.socket.timeout.Store(int64(connection.Config.Heartbeat) * 3 / 2)
		err = checkVersion(l.version())
	case !time.Now().Before(deadline):
		err = fmt.Errorf("%w (no answer in %v)", ErrUnreachable, config.DialTimeout)
	case errors.Is(err, amqp.ErrClosed):
		err = fmt.Errorf("%w (it closed the connection during the handshake)", ErrUnreachable)
	default:
		err = explain(err)
	}
	if err != nil && l.socket != nil {
		_ = l.socket.Close()
	}
	return err
}

// withoutTLS returns how an amqps:// URL wants its connection encrypted, nil for an amqp:// one, and the URL for the
// library without that: frames are read between the encryption and the library.
func withoutTLS(broker string, log *slog.Logger) (*tls.Config, string, error) {
	uri, err := amqp.ParseURI(broker)
	if err != nil {
		return nil, "", ErrBadURL
	}
	if uri.Scheme != "amqps" {
		return nil, broker, nil
	}
	plain, err := url.Parse(broker)
	if err != nil {
		return nil, "", ErrBadURL
	}
	plain.Scheme, plain.Host = "amqp", net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	files := certificates.Files{Authority: uri.CACertFile, Certificate: uri.CertFile, Key: uri.KeyFile}
	encrypted, err := files.Config(cmp.Or(uri.ServerName, uri.Host), log)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	return encrypted, plain.String(), nil
}

// drop closes the connection, within the timeout, and the socket in any case: a library stuck in a write, or that
// believes the connection closed, only frees its goroutines then.
func (l *link) drop(timeout time.Duration) {
	force := time.AfterFunc(timeout, func() { _ = l.socket.Close() })
	defer force.Stop() // the library's heartbeat may move the deadline it has set itself
	_ = l.CloseDeadline(time.Now().Add(timeout))
	_ = l.socket.Close()
}

// version is the broker's version by the handshake: "3.10.8".
func (l *link) version() string {
	version, _ := l.Properties["version"].(string)
	return version
}

// checkVersion refuses brokers before 3.10: their quorum queues know neither TTL nor at-least-once dead-lettering.
func checkVersion(version string) error {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return nil // not a RabbitMQ version; let it try
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 == nil && err2 == nil && (major < 3 || major == 3 && minor < 10) {
		return fmt.Errorf("%w (it is %s)", ErrTooOld, version)
	}
	return nil
}
