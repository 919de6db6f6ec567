package local

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// # TLS
//
// With Config.TLS the servers' Endpoints are those of encrypted connections, whose clients verify the server. Both
// servers verify a client's certificate where it has one. RabbitMQ takes its common name for a user's by the mechanism
// EXTERNAL; PostgreSQL lets the members of CertificateRole in by it alone, and no other role in the clear.

// TLS is what servers need to encrypt, in PEM. The certificate is for 127.0.0.1.
type TLS struct{ Authority, Certificate, Key []byte }

// CertificateRole is the PostgreSQL role whose members log in by a certificate alone. The one who needs it makes it.
const CertificateRole = ourName + "_by_certificate"

// clientAccess is the pg_hba.conf of a server with TLS.
const clientAccess = `host    all postgres 127.0.0.1/32 scram-sha-256
hostssl all +` + CertificateRole + ` 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
`

// write puts the files where a server finds them, and as its own.
func (t TLS) write(h home) error {
	for name, content := range map[string][]byte{"ca.pem": t.Authority, "server.pem": t.Certificate, "server.key": t.Key, "pg_hba.conf": []byte(clientAccess)} {
		path := filepath.Join(h.path, name)
		if err := writeDurably(path, content); err != nil {
			return fmt.Errorf("preparing TLS: %w", err)
		}
		if err := h.account.give(path); err != nil {
			return err
		}
	}
	return nil
}

// postgres are PostgreSQL's settings for the files in a directory.
func (t TLS) postgres(dir string) (args []string) {
	for setting, file := range map[string]string{"ssl_ca_file": "ca.pem", "ssl_cert_file": "server.pem", "ssl_key_file": "server.key", "hba_file": "pg_hba.conf"} {
		args = append(args, "-c", setting+"="+filepath.Join(dir, file))
	}
	return append(args, "-c", "ssl=on")
}

// rabbitmq are lines of rabbitmq.conf for the files in a directory.
func (t TLS) rabbitmq(dir string, at ports) string {
	lines := []string{
		fmt.Sprintf("listeners.ssl.1 = %s:%d", loopback, at.AMQPS),
		"ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = false",
		"management.ssl.ip = " + loopback, fmt.Sprintf("management.ssl.port = %d", at.HTTPS),
		"auth_mechanisms.1 = PLAIN", "auth_mechanisms.2 = AMQPLAIN", "auth_mechanisms.3 = EXTERNAL", "ssl_cert_login_from = common_name",
	}
	for _, part := range []string{"ssl_options", "management.ssl"} {
		for option, file := range map[string]string{"cacertfile": "ca.pem", "certfile": "server.pem", "keyfile": "server.key"} {
			lines = append(lines, part+"."+option+" = "+filepath.Join(dir, file))
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// encrypted are the endpoints of encrypted connections; authority is the file of the servers' authority.
func (e Endpoints) encrypted(at ports, authority string) (Endpoints, error) {
	for _, c := range []struct {
		url    *string
		scheme string
		port   int
		verify url.Values
	}{
		{&e.DatabaseURL, "postgres", at.Postgres, url.Values{"sslmode": {"verify-full"}, "sslrootcert": {authority}}},
		{&e.AMQPURL, "amqps", at.AMQPS, url.Values{"cacertfile": {authority}}},
		{&e.ManagementURL, "https", at.HTTPS, url.Values{"cacertfile": {authority}}},
	} {
		if *c.url == "" {
			continue
		}
		u, err := url.Parse(*c.url)
		if err != nil {
			return e, err
		}
		u.Scheme, u.Host, u.RawQuery = c.scheme, loopback+":"+strconv.Itoa(c.port), c.verify.Encode()
		*c.url = u.String()
	}
	return e, nil
}
