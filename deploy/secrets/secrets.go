// Package secrets reads and makes the file by which each part of a fleet gets its own URL of each server, with a user
// of its own and that user's password.
//
// The file has lines KEY=URL; blank lines and lines that begin with # are left out. The keys:
//
//	AMQP_URL_RELAY, _TOPOLOGY, _OPERATOR, _PUBLISHER     RabbitMQ, as package roles says
//	AMQP_URL_WORKER_LEDGER, ...                          one for each worker
//	MANAGEMENT_URL_MONITORING                            RabbitMQ's management API
//	DATABASE_URL_MIGRATOR, _WORKER, _RELAY, _OPERATOR, _READER, _GATEWAY  PostgreSQL, as package grants says
//
// A process needs the keys of what it runs; for a key that its file lacks it uses the URL for all, where one is set. So
// each host can have a file with its own part, and the publisher's and the reader's lines go to those systems.
//
// Only the file's owner, and perhaps its group, may read it, and no other user: Read refuses it otherwise.
package secrets

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/plaintext"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/grants"
)

const (
	amqpPart       = "AMQP_URL_"
	managementPart = "MANAGEMENT_URL_"
	databasePart   = "DATABASE_URL_"
)

// URLs are the URLs of a file by their keys.
type URLs map[string]string

// AMQP is the key of a role's URL of the broker.
func AMQP(r roles.Role) string { return amqpPart + upper(string(r)) }

// Management is the key of the URL of the management API.
func Management() string { return managementPart + upper(string(roles.Monitoring)) }

// keyOf is the key of a role on the broker: of monitoring, the management API's.
func keyOf(r roles.Role) string {
	if r == roles.Monitoring {
		return Management()
	}
	return AMQP(r)
}

// Database is the key of a role's URL of the database.
func Database(r grants.Role) string { return databasePart + upper(string(r)) }

func upper(text string) string { return strings.ReplaceAll(strings.ToUpper(text), "-", "_") }

// Keys are all keys of a fleet, in order.
func Keys(subs []topology.Subscription) []string {
	var keys []string
	for _, g := range roles.Of(subs) {
		keys = append(keys, keyOf(g.Role))
	}
	for _, r := range append([]grants.Role{grants.Migrator}, grants.Roles...) {
		keys = append(keys, Database(r))
	}
	return keys
}

// Read reads a file. Its errors name the file and the line.
func Read(path string) (URLs, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o027 != 0 {
		return nil, fmt.Errorf("other users may read or change %s (its mode is %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	urls, err := parse(plaintext.Text(raw))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return urls, nil
}

func parse(raw []byte) (URLs, error) {
	urls := URLs{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !found:
			return nil, fmt.Errorf("line %d: want KEY=URL", n) // the line may be a password: it is not quoted
		case !known(key):
			return nil, fmt.Errorf("line %d: there is no key %s; `composerp secrets create` writes a file with all keys", n, key)
		case urls[key] != "":
			return nil, fmt.Errorf("line %d: %s stands there a second time", n, key)
		}
		if _, err := loginOf(value); err != nil {
			return nil, fmt.Errorf("line %d: %s is no URL with a user", n, key)
		}
		urls[key] = value
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return urls, nil
}

// known tells whether there is such a key. A file may be for workers that this program does not have.
func known(key string) bool {
	worker := AMQP(roles.Worker(""))
	return slices.Contains(Keys(nil), key) || strings.HasPrefix(key, worker) && len(key) > len(worker)
}

// Text is the file of these URLs, in the order of Keys.
func (u URLs) Text(subs []topology.Subscription) string {
	var b strings.Builder
	for _, key := range Keys(subs) {
		if u[key] != "" {
			fmt.Fprintf(&b, "%s=%s\n", key, u[key])
		}
	}
	return b.String()
}

// Logins are how the fleet's users log in to the broker.
func (u URLs) Logins(subs []topology.Subscription) map[roles.Role]roles.Login {
	logins := map[roles.Role]roles.Login{}
	for _, g := range roles.Of(subs) {
		if login, err := loginOf(u[keyOf(g.Role)]); err == nil {
			logins[g.Role] = login
		}
	}
	return logins
}

// Passwords are those of the database's roles that have their usual names.
func (u URLs) Passwords() map[grants.Role]string {
	passwords := map[grants.Role]string{}
	for _, r := range grants.Roles {
		if login, err := loginOf(u[Database(r)]); err == nil && login.User == r.User() {
			passwords[r] = login.Password
		}
	}
	return passwords
}

// Fleet are the names of the broker's users whose messages the fleet may take for its own: all but the publisher's. The
// usual names are among them, for a process may have a file with its own part only.
func (u URLs) Fleet(subs []topology.Subscription) []string {
	var names []string
	logins := u.Logins(subs)
	for _, g := range roles.Of(subs) {
		if g.Role == roles.Publisher || g.Role == roles.Monitoring {
			continue
		}
		names = append(names, g.Role.User())
		if login, known := logins[g.Role]; known {
			names = append(names, login.User)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var errNoLogin = errors.New("no URL with a user")

// loginOf is the login of a URL; of several, of the first.
func loginOf(urls string) (roles.Login, error) {
	first, _, _ := strings.Cut(urls, ",amqp")
	parsed, err := url.Parse(first)
	if err != nil || parsed.Host == "" || parsed.User == nil {
		return roles.Login{}, errNoLogin // the parser's own error may quote the password
	}
	password, _ := parsed.User.Password()
	return roles.Login{User: parsed.User.Username(), Password: password}, nil
}
