package settings

import (
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

// isPrivate reports whether a URL is that of the private servers that run in dir.
func isPrivate(dir, databaseURL string) bool {
	own, _, err := local.Find(dir)
	return err == nil && own.DatabaseURL == databaseURL
}
