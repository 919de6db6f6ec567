package settings

import (
	"net/url"
	"os"
	"strings"

	"github.com/composerp/composerp/deploy/local"
)

// ForgetPGVariables removes the variables PGHOSTADDR, PGOPTIONS and their like from this process. The database driver
// reads them beside a URL: they are for servers of the user's own, and lead away from private ones.
func ForgetPGVariables() {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
}

// defaulted are the parameters of a database's URL that have defaults of this program's, and the variables of libpq
// that stand for them. The driver would read such a variable only where the URL has no parameter, and the defaults
// stand in the URL; the others it reads by itself.
var defaulted = map[string]string{
	"PGSSLMODE": "sslmode", "PGSSLROOTCERT": "sslrootcert", "PGAPPNAME": "application_name", "PGCONNECT_TIMEOUT": "connect_timeout",
	"PGHOST": "host", "PGHOSTADDR": "hostaddr",
}

// withPGVariables is a database's URL with the parameters that it leaves to variables of libpq. What is no URL stays as
// it is, for the one who connects to refuse.
func withPGVariables(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return databaseURL
	}
	q, changed := u.Query(), false
	for variable, parameter := range defaulted {
		value := os.Getenv(variable)
		if value == "" || q.Has(parameter) || parameter == "host" && u.Host != "" {
			continue
		}
		q.Set(parameter, value)
		changed = true
	}
	if !changed {
		return databaseURL
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// IsPrivate reports whether a database is that of the private servers that run in dir, as any role.
func IsPrivate(dir, databaseURL string) bool {
	own, _, err := local.Find(dir)
	if err != nil {
		return false
	}
	here, err := url.Parse(own.DatabaseURL)
	if err != nil {
		return false
	}
	there, err := url.Parse(databaseURL)
	return err == nil && here.Host == there.Host
}
