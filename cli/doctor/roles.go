package doctor

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers"
)

// # As whom the doctor asks
//
// The doctor asks the broker as the role topology, whose permissions it examines, and the database as the operator.
// Where a file of secrets has a part of the fleet's URLs, as that of a host with some workers, it asks as a role that
// is there. What that role may not see is StateUnseen, with who may: it is no fault of the fleet.

// unseen notes what the doctor's user may not see: who may, and what to run for it.
func (x *Examination) unseen(check, needs, run string) {
	x.Findings = append(x.Findings, Finding{Check: check, State: StateUnseen, What: wording.Sprintf("not seen: needs %s; run %s", needs, run)})
}

const (
	fullDoctor   = "composerp doctor with AMQP_URL_TOPOLOGY in the file of --secrets"
	asMonitoring = "rabbitmqctl set_user_tags USER monitoring on a node, or add MANAGEMENT_URL_MONITORING to the file of --secrets"
)

// hasPart tells whether a file of secrets names servers, if not for all roles.
func (x *Examination) hasPart() bool { return len(x.Secrets) > 0 }

// atBroker are the endpoints of the role as which the doctor asks the broker, and the name of its user where that is
// not to declare.
func (x *Examination) atBroker() (e settings.Endpoints, limited string) {
	subs := workers.Subscriptions()
	e = x.Endpoints.As(roles.Topology)
	others := []roles.Role{roles.Operator, roles.Relay}
	for _, g := range roles.Of(subs) {
		others = append(others, g.Role) // the publisher is the last choice
	}
	others = append(slices.DeleteFunc(others, func(r roles.Role) bool { return r == roles.Publisher }), roles.Publisher)
	if i := slices.IndexFunc(others, x.Has); e.AMQP == "" && i >= 0 {
		e = x.Endpoints.As(others[i])
	}
	user := userOf(e.AMQP)
	for _, g := range roles.Of(subs) {
		if own := e.Secrets.Logins(subs)[g.Role].User; g.Role != roles.Topology && user != "" && (user == g.Role.User() || user == own) {
			return e, user
		}
	}
	return e, ""
}

// userOf is the user of the first of the URLs.
func userOf(urls string) string {
	first, _, _ := strings.Cut(urls, ",amqp")
	if parsed, err := url.Parse(first); err == nil {
		return parsed.User.Username()
	}
	return ""
}

// atDatabase are the endpoints of the role as which the doctor asks the database: all roles may read all tables.
func (x *Examination) atDatabase() settings.Endpoints {
	if i := slices.IndexFunc(grants.Roles, x.HasRole); x.Database == "" && i >= 0 {
		return x.AsRole(grants.Roles[i])
	}
	if x.Database == "" && x.HasRole(grants.Migrator) {
		return x.AsRole(grants.Migrator)
	}
	return x.Endpoints
}

// notTagged is what the management API answers a user that it knows and that lacks a tag: "Not management user".
var notTagged = regexp.MustCompile(`Not \w+ user`)

// forbidden tells whether the management API shows a user nothing for want of a tag; a wrong password is a fault.
func forbidden(err error) bool {
	return errors.Is(err, rabbitmq.ErrAccessRefused) && notTagged.MatchString(err.Error())
}
