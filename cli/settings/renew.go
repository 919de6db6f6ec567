package settings

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// # Renewed secrets
//
// What files hold is read again while a process runs: the file of --secrets, and the URLs, the webhooks' secrets and
// the page's token of COMPOSERP_..._FILE. A new connection, call or request has what the files hold by then; a
// connection that is open keeps what it has. What holds:
//
//   - A value that was in use is replaced by a whole one alone. A file that is missing, cannot be read, lacks a line
//     that was there or has a wrong one changes nothing, and the log names it now and then until it is whole.
//   - A file that changed within the last second changes nothing yet: its writer may not be done. Only a writer that
//     pauses for longer, at the end of a line or of a URL's query, is believed too early; one that renames never is.
//   - User, password and parameters of a URL may change. Scheme, hosts, database and virtual host may not: connections
//     of one process would lead to two servers, and events that one of them holds would be missing at the other. Such a
//     change takes a restart, and the log says so.
//
// A crash after any step leaves nothing behind: the next process reads the files as they are. A password that the file
// has and the server not yet, or the other way round, costs connections and no messages: the process tries again, with
// what the file holds by then.

// settleTime is how long a file must have stayed as it is.
const settleTime = time.Second

// renewed is a value that is read out of files, and again when they have changed.
type renewed[T any] struct {
	files []string
	read  func() (T, error)
	log   *slog.Logger

	mu     sync.Mutex
	tell   func(T) // of another value; may be nil
	last   T       // good
	stamps []stamp
	warned clock.Seldom
}

// stamp tells one state of a file from the next; the zero value is that of a file that is missing.
type stamp struct {
	changed time.Time
	size    int64
}

// newRenewed begins with a value that was read just now.
func newRenewed[T any](log *slog.Logger, files []string, value T, read func() (T, error)) *renewed[T] {
	r := &renewed[T]{files: files, read: read, log: log, last: value}
	r.stamps = r.look()
	return r
}

func (r *renewed[T]) look() []stamp {
	stamps := make([]stamp, len(r.files))
	for i, path := range r.files {
		if info, err := os.Stat(path); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// now is the value as the files have it, or as they had it when they were whole.
func (r *renewed[T]) now() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	stamps := r.look()
	unsettled := func(s stamp) bool { age := time.Since(s.changed); return age >= 0 && age < settleTime }
	if slices.Equal(stamps, r.stamps) || slices.ContainsFunc(stamps, unsettled) {
		return r.last
	}
	value, err := r.read()
	if err != nil {
		if r.warned.Due() {
			r.log.Warn("secrets are not renewed; those read before stay in use", "files", strings.Join(r.files, ", "), "error", err)
		}
		return r.last
	}
	r.last, r.stamps, r.warned = value, stamps, clock.Seldom{}
	r.log.Info("secrets are renewed; new connections use them", "files", strings.Join(r.files, ", "))
	if r.tell != nil {
		r.tell(value)
	}
	return value
}

// valueFile is the file that a setting's value is read from; "": it is not.
func valueFile(s setting) string {
	if os.Getenv(s.Variable()) != "" {
		return ""
	}
	return os.Getenv(s.Variable() + "_FILE")
}

// renew has endpoints that are given read again; as they are they were read just now.
func (e Endpoints) renew(cctx *cli.Context) *renewed[Endpoints] {
	var files []string
	if path, err := Configured(cctx).Value(Named(FlagSecrets)); err == nil && path.Text != "" {
		files = append(files, path.Text)
	}
	for _, name := range []string{FlagDatabase, FlagAMQP, FlagManagement} {
		if path := valueFile(Named(name)); path != "" && Configured(cctx).flags[name] == "" {
			files = append(files, path)
		}
	}
	if files == nil {
		return nil
	}
	e.Secrets = maps.Clone(e.Secrets)
	return newRenewed(warnings(cctx), files, e, func() (Endpoints, error) {
		urls, err := Secrets(cctx)
		if err != nil {
			return e, err
		}
		now, err := withSecrets(cctx, urls)
		if err == nil {
			err = e.sameServers(now)
		}
		return now, err
	})
}

// OnRenewed has tell called with the endpoints of a person's commands each time that secrets are renewed, one call at a
// time.
func (e Endpoints) OnRenewed(tell func(Endpoints)) {
	if e.renewal != nil {
		e.renewal.mu.Lock()
		defer e.renewal.mu.Unlock()
		e.renewal.tell = func(now Endpoints) { tell(now.AsOperator()) }
	}
}

// sameServers refuses endpoints that lead elsewhere, or nowhere. Its errors have no secrets.
func (e Endpoints) sameServers(now Endpoints) error {
	was, is := e.byName(), now.byName()
	for _, name := range slices.Sorted(maps.Keys(was)) {
		switch {
		case was[name] == "":
		case is[name] == "":
			return fmt.Errorf("%s is missing", name)
		case serversOf(was[name]) != serversOf(is[name]):
			return fmt.Errorf("%s leads to another server, database or virtual host: that takes a restart", name)
		}
	}
	return nil
}

// byName are all URLs, by their keys in the file of secrets or their settings' names.
func (e Endpoints) byName() map[string]string {
	all := map[string]string{FlagDatabase: e.Database, FlagAMQP: e.AMQP, FlagManagement: e.Management}
	maps.Copy(all, e.Secrets)
	return all
}

// serversOf are URLs without what may change.
func serversOf(urls string) string {
	parts := SplitURLs(urls)
	for i, one := range parts {
		scheme, rest, _ := strings.Cut(one, "://")
		rest, query, _ := strings.Cut(rest, "?")
		parameters, _ := url.ParseQuery(query)
		parts[i] = scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
		for _, name := range []string{"host", "hostaddr", "port", "dbname"} {
			parts[i] += " " + parameters.Get(name)
		}
	}
	return strings.Join(parts, ",")
}

// currentDatabase is the database's URL as it is now, for the role of the endpoints; nil: it does not change.
func (e Endpoints) currentDatabase() func() string {
	if e.renewal == nil {
		return nil
	}
	key, now := e.wanted.database, e.renewal.now()
	switch {
	case now.Secrets[key] != "":
		return func() string { return withPGVariables(e.renewal.now().Secrets[key]) }
	case now.Database != "":
		return func() string { return e.renewal.now().Database }
	}
	return nil
}

// currentBroker are the URLs of the broker's nodes and the names of the fleet's users as they are now; nil: they do not
// change.
func (e Endpoints) currentBroker() func() (nodes, fleet []string) {
	if e.renewal == nil {
		return nil
	}
	key := e.wanted.amqp
	if now := e.renewal.now(); cmp.Or(now.Secrets[key], now.AMQP) == "" {
		return nil
	}
	return func() (nodes, fleet []string) {
		now := e.renewal.now()
		if len(now.Secrets) > 0 {
			fleet = now.Secrets.Fleet(workers.Subscriptions())
		}
		return SplitURLs(cmp.Or(now.Secrets[key], now.AMQP)), fleet
	}
}

// currentManagement is the URL of the management API as it is now.
func (e Endpoints) currentManagement() string {
	if e.renewal != nil {
		if now := managementURL(e.renewal.now()); now != "" {
			return now
		}
	}
	return managementURL(e)
}

// Renewed is a setting's value as it is now.
func Renewed(cctx *cli.Context, name string) func() string {
	s, value := Named(name), cctx.String(name)
	path := valueFile(s)
	if path == "" || value == "" || Configured(cctx).flags[name] != "" {
		return func() string { return value }
	}
	r := newRenewed(warnings(cctx), []string{path}, value, func() (string, error) {
		v, err := Configured(cctx).Value(s)
		if err == nil && v.Text == "" {
			err = fmt.Errorf("%s is empty", path)
		}
		return v.Text, err
	})
	return r.now
}

// renewedSigner signs by the secrets as they are now; nil: there were none at the start.
func renewedSigner(cctx *cli.Context) (*webcall.Signer, error) {
	signer, err := signerOf(cctx.String(flagWebhookSecret))
	if err != nil {
		return nil, exit.Misconfigured("--%s: %w", flagWebhookSecret, err)
	}
	if signer == nil {
		return nil, nil
	}
	current := Renewed(cctx, flagWebhookSecret)
	return webcall.Renewed(func() *webcall.Signer {
		if now, err := signerOf(current()); err == nil { // an error: current has checked it
			return now
		}
		return signer
	}), nil
}

// warnings is the command's logger, or one like it for a command without flags of logging.
func warnings(cctx *cli.Context) *slog.Logger {
	log, err := Logger(cctx)
	if err != nil {
		return slog.New(slog.NewTextHandler(cctx.App.ErrWriter, nil))
	}
	return log
}
