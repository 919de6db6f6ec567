package roles

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/composerp/composerp/exchange/topology"
)

// Login is how a role's user logs in. Without a password no password is right.
type Login struct{ User, Password string }

// Access is the part of RabbitMQ's definitions that has users and their permissions.
type Access struct {
	Users            []user            `json:"users"`
	Permissions      []permission      `json:"permissions"`
	TopicPermissions []topicPermission `json:"topic_permissions"`
}

type user struct {
	Name      string   `json:"name"`
	Hash      string   `json:"password_hash"` // "": no password is right
	Algorithm string   `json:"hashing_algorithm"`
	Tags      []string `json:"tags"`
}

type permission struct {
	User  string `json:"user"`
	Vhost string `json:"vhost"`
	Permissions
}

type topicPermission struct {
	User  string `json:"user"`
	Vhost string `json:"vhost"`
	TopicPermissions
}

// AccessTo is the access of the grants' users to a virtual host. A role without a login has its usual user, without a
// password.
func AccessTo(vhost string, grants []Grant, logins map[Role]Login) Access {
	a := Access{Users: []user{}, Permissions: []permission{}, TopicPermissions: []topicPermission{}}
	for _, g := range grants {
		login, known := logins[g.Role]
		if !known {
			login.User = g.Role.User()
		}
		a.Users = append(a.Users, user{login.User, hashOf(login.Password), "rabbit_password_hashing_sha256", append([]string{}, g.Tags...)})
		a.Permissions = append(a.Permissions, permission{login.User, vhost, g.Permissions})
		for _, t := range g.Topics {
			a.TopicPermissions = append(a.TopicPermissions, topicPermission{login.User, vhost, t})
		}
	}
	return a
}

// hashOf is RabbitMQ's hash of a password: four random bytes, and the SHA-256 of these and the password.
func hashOf(password string) string {
	if password == "" {
		return ""
	}
	salted := make([]byte, 4, 4+sha256.Size)
	_, _ = rand.Read(salted) // never fails
	sum := sha256.Sum256(append(salted[:4:4], password...))
	return base64.StdEncoding.EncodeToString(append(salted, sum[:]...))
}

// Exchanges are the definitions of the exchanges that AccessTo names: RabbitMQ 4.3 refuses permissions for an exchange
// that is not there.
func Exchanges(vhost string) topology.Definitions {
	return topology.Topology{Exchanges: topology.Compute(nil).Exchanges}.Definitions(vhost)
}

// Definitions are a virtual host's definitions together with its users.
type Definitions struct {
	topology.Definitions
	Access
}
