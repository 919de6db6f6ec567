package secrets

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"net/url"
	"regexp"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/grants"
)

// Servers are the URLs of servers whose users are to be replaced. Database is the owner's: it stays the migrator's. An
// empty one is left out.
type Servers struct{ Database, AMQP, Management string }

// Make makes the URLs of all roles of a fleet, with passwords by their users' names, such as Random.
func Make(at Servers, subs []topology.Subscription, password func(user string) string) URLs {
	urls := URLs{}
	set := func(key, server, user string) {
		if server != "" {
			urls[key] = withUser(server, user, password(user))
		}
	}
	for _, g := range roles.Of(subs) {
		server := at.AMQP
		if g.Role == roles.Monitoring {
			server = at.Management
		}
		set(keyOf(g.Role), server, g.Role.User())
	}
	for _, r := range grants.Roles {
		set(Database(r), at.Database, r.User())
	}
	if at.Database != "" {
		urls[Database(grants.Migrator)] = at.Database
	}
	return urls
}

// Random is a new password of letters and digits.
func Random(string) string { return rand.Text() }

// derived makes passwords from one secret, the same each time.
func derived(secret string) func(user string) string {
	return func(user string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(user))
		return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:20])
	}
}

// authority is the scheme of each URL of a list, and its user where it has one.
var authority = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^@/?]*@)?`)

func withUser(urls, user, password string) string {
	return authority.ReplaceAllString(urls, "${1}"+url.UserPassword(user, password).String()+"@")
}
