package rabbitmq

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/publishing"
)

// Config says where the broker is and which timeouts apply. Apart from URLs, its zero value works.
type Config struct {
	URLs []string // amqp:// or amqps://, one per node of a cluster; tried in turn
	Name string   // "ledger": the connection is called composerp/ledger@host#pid, with its role
	// Fleet are the other users of the fleet, where each of its parts has one: their messages are believed like those
	// of the URL's user.
	Fleet []string
	// Current are URLs and Fleet as they are now, for each new session; nil: they stay. They are of the same servers.
	Current func() (urls, fleet []string)
	// Version is the program's, for the management UI.
	Version string

	Heartbeat    time.Duration // 10 s; a peer silent for one and a half of them counts as dead
	DialTimeout  time.Duration // 10 s, for connecting and the handshake
	CloseTimeout time.Duration // 5 s, for a clean close; then the sockets are closed
	// ConfirmTimeout is how long the oldest message in flight may wait for its confirm while no alarm blocks
	// publishers; then the session is closed, and unconfirmed messages are in doubt. 10 s.
	ConfirmTimeout time.Duration
	Backoff        time.Duration // 100 ms before the second session, doubled each time, with jitter
	MaxBackoff     time.Duration // 5 s; with jitter a session begins at most 7.5 s after the broker is back
	MaxBody        int           // 1 MiB: the broker's max_message_size; a larger message would cost the session

	// Publishing counts what publishers do; nil: nothing is counted.
	Publishing *publishing.Kind

	Log *slog.Logger
	// Now is the wall clock for the times in a failed message's headers; nil: time.Now. Nothing is decided by it.
	Now func() time.Time
}

// now is the configuration with URLs and Fleet as they are now.
func (c Config) now() Config {
	if c.Current != nil {
		c.URLs, c.Fleet = c.Current()
	}
	return c
}

func (c Config) withDefaults() Config {
	c = c.now()
	c.Heartbeat = cmp.Or(max(c.Heartbeat, 0), 10*time.Second)
	c.DialTimeout = cmp.Or(max(c.DialTimeout, 0), 10*time.Second)
	c.CloseTimeout = cmp.Or(max(c.CloseTimeout, 0), 5*time.Second)
	c.ConfirmTimeout = cmp.Or(max(c.ConfirmTimeout, 0), 10*time.Second)
	c.Backoff = cmp.Or(max(c.Backoff, 0), 100*time.Millisecond)
	c.MaxBackoff = cmp.Or(max(c.MaxBackoff, 0), 5*time.Second)
	c.MaxBody = cmp.Or(max(c.MaxBody, 0), 1<<20)
	c.Name = cmp.Or(c.Name, "client")
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// connectionName is what the management UI shows.
func (c Config) connectionName(role string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("composerp/%s@%s#%d %s", c.Name, host, os.Getpid(), role)
}

// displayURL is a broker's URL without the password, for logs and errors.
func displayURL(uri amqp.URI) string {
	return uri.Scheme + "://" + uri.Username + "@" + net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)) + "/" + trimSlash(uri.Vhost)
}

func trimSlash(vhost string) string {
	if vhost == "/" {
		return "" // the default virtual host, which a URL may leave out
	}
	return vhost
}

// Vhost is the configuration's virtual host, "/" when it names none.
func (c Config) Vhost() (string, error) {
	if len(c.URLs) == 0 {
		return "", ErrBadURL
	}
	u, err := amqp.ParseURI(c.URLs[0])
	if err != nil {
		return "", ErrBadURL // the library's error may quote the password
	}
	return u.Vhost, nil
}
