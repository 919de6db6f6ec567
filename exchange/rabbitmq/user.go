package rabbitmq

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// # Who published a message
//
// A publisher may set the property user_id; the broker closes the channel of one that sets another name than its
// connection's user. So the property proves who published, where headers prove nothing. What the relay publishes from
// the log carries it (Message.OwnUser), and a worker then believes its header x-log-seq. Where the relay and the
// workers have users of their own, Config.Fleet names them to each other.

// otherNames are the URLs whose broker knows the user by another name than the URL gives, as OAuth 2, LDAP and a
// certificate may.
// Messages are published there without user_id.
var otherNames sync.Map

// userOf is the name that a broker knows this client by, "" when the URL does not tell: one for a login by certificate
// may leave it out.
func userOf(broker string, uri amqp.URI) string {
	byPassword := func(mechanism string) bool {
		return strings.EqualFold(mechanism, "plain") || strings.EqualFold(mechanism, "amqplain")
	}
	if _, other := otherNames.Load(displayURL(uri)); other {
		return ""
	}
	if len(uri.AuthMechanism) > 0 && !slices.ContainsFunc(uri.AuthMechanism, byPassword) {
		if named, err := url.Parse(broker); err != nil || named.User == nil {
			return ""
		}
	}
	return uri.Username
}

// refusedUser notes that the broker has refused the link's user as user_id, by the reason it closed the channel with.
func (l *link) refusedUser(cause error) {
	var reason *amqp.Error
	if errors.As(cause, &reason) && reason.Code == amqp.PreconditionFailed && strings.Contains(reason.Reason, "user_id") {
		otherNames.Store(l.url, true)
	}
}

// publisherOf is who published a delivery: a user of the fleet, or another, whose name may be "". A copy that this
// fleet published of another's message has the other's name in its header.
func (l *link) publisherOf(d amqp.Delivery) (own bool, user string) {
	if d.UserId == "" || d.UserId != l.user && !slices.Contains(l.fleet, d.UserId) {
		return false, d.UserId
	}
	return true, text(d.Headers[HeaderUserID])
}
