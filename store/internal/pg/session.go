package pg

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/wording"
)

const connectTimeout = 10 * time.Second

// sessionSettings hold for every connection, unless the URL says otherwise.
var sessionSettings = []struct{ name, value string }{
	// No statement, lock wait or idle transaction outlives its client's deadline, even when the network is gone.
	{"statement_timeout", "60s"},
	{"lock_timeout", "10s"},
	{"idle_in_transaction_session_timeout", "5s"},
	{"timezone", "UTC"},
	// The log's order and the inbox rely on it; a server may have another default.
	{"default_transaction_isolation", "read committed"},
	// Statements here are short, and their cost over many partitions is overestimated: compiling takes longer than
	// running.
	{"jit", "off"},
	// The hot tables are in memory, where a lookup by key costs no more than the next row of a scan. With the default
	// the planner scans all positions to find the 400 of a batch: 33 ms instead of 3.
	{"random_page_cost", "1.1"},
	// Cached plans may have been made while a table was empty, when a sequential scan was cheapest.
	{"enable_seqscan", "off"},
	// For a batch of one the planner would replan every time: it estimates arrays of unknown length higher.
	{"plan_cache_mode", "force_generic_plan"},
}

// dataSource is the URL, as it is now, with what the driver needs to connect, and the statement that sets the rest on a
// connection.
func dataSource(cfg Config) (source, settings string, err error) {
	now := cfg.URL
	if cfg.Current != nil {
		now = cfg.Current()
	}
	if now == "" {
		return "", "", fmt.Errorf("%w: no database URL given", ErrConfiguration)
	}
	rest, hosts, ports := takeHosts(now)
	u, err := url.Parse(rest)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", "", fmt.Errorf("%w: the database URL must read postgres://user:password@host:port/database", ErrConfiguration)
	}
	q := u.Query()
	set := func(key, value string) {
		if !q.Has(key) {
			q.Set(key, value)
		}
	}
	if q.Get("sslrootcert") == "system" {
		set("sslmode", "verify-full") // the only one that the driver takes with them
	} else if q.Has("sslrootcert") && cmp.Or(q.Get("sslmode"), "require") == "require" {
		// That is what require means with an authority. The driver would forget one whose file is missing.
		q.Set("sslmode", "verify-ca")
	}
	if len(hosts) > 0 {
		q.Set("host", strings.Join(hosts, ","))
		q.Set("port", strings.Join(ports, ","))
	}
	set("sslmode", defaultSSLMode(cmp.Or(q.Get("hostaddr"), u.Host, q.Get("host"), "localhost")))
	set("application_name", cmp.Or(cfg.Name, "composerp"))
	set("connect_timeout", fmt.Sprint(int(connectTimeout.Seconds())))
	var statements strings.Builder
	for _, s := range sessionSettings {
		if !q.Has(s.name) {
			fmt.Fprintf(&statements, "SET %s = %s;", s.name, pq.QuoteLiteral(s.value))
		}
	}
	u.RawQuery = q.Encode()
	if source, err = withCertificates(u.String(), cmp.Or(cfg.Log, slog.Default())); err != nil {
		return "", "", connectFault{err}
	}
	return source, statements.String(), nil
}

const defaultPort = "5432"

// severalHosts finds the hosts of a URL that names several.
var severalHosts = regexp.MustCompile(`^(postgres(?:ql)?://(?:[^/?#]*@)?)([^/?#@]*,[^/?#@]*)((?s:[/?#].*)?)$`)

// takeHosts takes the hosts out of a URL that names several: net/url reads no URL in which the last has no port and
// another has one, and the driver reads ports of several hosts from a parameter alone. Of one host it takes none.
func takeHosts(databaseURL string) (rest string, hosts, ports []string) {
	found := severalHosts.FindStringSubmatch(databaseURL)
	if found == nil {
		return databaseURL, nil, nil
	}
	for at := range strings.SplitSeq(found[2], ",") {
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			host = strings.Trim(at, "[]")
		}
		hosts, ports = append(hosts, host), append(ports, cmp.Or(port, defaultPort))
	}
	return found[1] + found[3], hosts, ports
}

// defaultSSLMode is that of one host or several with commas between: TLS unless all are on this machine.
func defaultSSLMode(hosts string) string {
	for host := range strings.SplitSeq(hosts, ",") {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		socket := filepath.IsAbs(host) || strings.HasPrefix(host, "@")
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && !ip.IsLoopback() && !socket {
			return "require"
		}
	}
	return "disable"
}

// sessionConnector gives each new connection its settings by a statement. PgBouncer refuses settings that a client
// names when it connects.
//
// Of several hosts it tries the one first that answered last. In the driver's own order every connection would wait for
// a first host that is silent, and callers with less time than that takes would give up.
//
// It reads the URL and the files that it names for each connection, so that a new password and a new certificate are
// used from the next on. What is wrong with them then is an error of that connection alone.
type sessionConnector struct {
	cfg   Config
	more  string         // settings beside the usual ones
	first *atomic.Uint32 // counts on with each host that did not answer
}

func newConnector(cfg Config, more string) (sessionConnector, error) {
	c := sessionConnector{cfg: cfg, more: more, first: new(atomic.Uint32)}
	_, _, err := c.hosts()
	return c, err
}

// hosts are the connectors of the URL's hosts, and the settings for a new connection.
func (c sessionConnector) hosts() (hosts []*pq.Connector, settings string, err error) {
	source, settings, err := dataSource(c.cfg)
	if err != nil {
		return nil, "", err
	}
	for _, one := range eachHost(source) {
		connector, err := pq.NewConnector(one)
		if err != nil {
			return nil, "", fmt.Errorf("%w: reading the database URL: %s", ErrConfiguration, redact(err.Error(), one))
		}
		connector.Dialer(keepAliveDialer{})
		hosts = append(hosts, connector)
	}
	return hosts, settings + c.more, nil
}

// eachHost is a data source for each host of one.
func eachHost(source string) (each []string) {
	u, err := url.Parse(source)
	if err != nil {
		return []string{source}
	}
	q := u.Query()
	hosts, ports := strings.Split(q.Get("host"), ","), strings.Split(q.Get("port"), ",")
	if len(hosts) < 2 || len(hosts) != len(ports) || q.Has("hostaddr") { // which the driver takes apart, or refuses
		return []string{source}
	}
	for i := range hosts {
		q.Set("host", hosts[i])
		q.Set("port", ports[i])
		u.RawQuery = q.Encode()
		each = append(each, u.String())
	}
	return each
}

// Driver implements driver.Connector.
func (c sessionConnector) Driver() driver.Driver { return pq.Driver{} }

// Connect implements driver.Connector.
func (c sessionConnector) Connect(ctx context.Context) (driver.Conn, error) {
	hosts, settings, err := c.hosts()
	if err != nil {
		return nil, faultOf(err)
	}
	var failed []error
	for range hosts {
		at := c.first.Load()
		conn, err := connect(ctx, hosts[at%uint32(len(hosts))], settings)
		if err == nil {
			return conn, nil
		}
		failed = append(failed, faultOf(err))
		c.first.CompareAndSwap(at, at+1)
		if ctx.Err() != nil {
			break // the next call begins with the next host
		}
	}
	if len(failed) == 1 {
		return nil, failed[0]
	}
	return nil, wording.LineOf(errors.Join(failed...))
}

func connect(ctx context.Context, host *pq.Connector, settings string) (driver.Conn, error) {
	conn, err := host.Connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, settings, nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}
