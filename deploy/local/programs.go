package local

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oldestPostgres is the first major version with what the store uses.
const oldestPostgres = 15

// programs are what a start needs of what is installed.
type programs struct {
	postgres postgresPrograms
	broker   brokerPrograms
}

// postgresPrograms are the installed PostgreSQL versions, newest first.
type postgresPrograms struct {
	bins    []postgresBin
	account account
}

type postgresBin struct {
	dir   string
	major int
}

type brokerPrograms struct {
	server, epmd string
	path         string // PATH for the server's scripts, which look for erl
	account      account
}

// findPrograms looks for everything cfg needs and names all that is missing at once.
func findPrograms(cfg Config) (programs, error) {
	var found programs
	var missing, packages []string
	var err error
	if !cfg.BrokerOnly {
		if found.postgres.account, err = accountFor("postgres", "nobody"); err != nil {
			return found, err
		}
		bins := postgresBins()
		found.postgres.bins = slices.DeleteFunc(slices.Clone(bins), func(b postgresBin) bool { return b.major < oldestPostgres })
		if len(bins) == 0 {
			missing, packages = append(missing, "PostgreSQL"), append(packages, "postgresql")
		} else if len(found.postgres.bins) == 0 {
			return found, fmt.Errorf("PostgreSQL %d in %s is too old, %d or later is %w: see https://www.postgresql.org/download/",
				bins[0].major, bins[0].dir, oldestPostgres, ErrNotInstalled)
		}
	}
	if !cfg.PostgresOnly {
		if found.broker.account, err = accountFor("rabbitmq", "nobody"); err != nil {
			return found, err
		}
		if !findBroker(&found.broker) {
			missing, packages = append(missing, "RabbitMQ"), append(packages, "rabbitmq-server")
		}
	}
	if len(missing) > 0 {
		return found, fmt.Errorf("%s: %w: run `make setup`, or `apt-get install %s`",
			strings.Join(missing, " and "), ErrNotInstalled, strings.Join(packages, " "))
	}
	return found, nil
}

// postgresBins lists the installed server versions, newest first. Debian keeps several side by side and none of them in
// PATH.
func postgresBins() []postgresBin {
	var dirs []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
	} {
		matches, _ := filepath.Glob(pattern) // The only error is a malformed pattern.
		dirs = append(dirs, matches...)
	}
	if program, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(program))
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	var bins []postgresBin
	for _, dir := range dirs {
		if major := postgresMajor(dir); major > 0 && !slices.ContainsFunc(bins, func(b postgresBin) bool { return b.dir == dir }) {
			bins = append(bins, postgresBin{dir: dir, major: major})
		}
	}
	slices.SortStableFunc(bins, func(a, b postgresBin) int { return cmp.Compare(b.major, a.major) })
	return bins
}

var versionNumber = regexp.MustCompile(`\d+`)

// postgresMajor asks the server program in dir for its major version; 0 when there is no complete server.
func postgresMajor(dir string) int {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	major, _ := strconv.Atoi(versionNumber.FindString(string(out)))
	return major
}

// findBroker looks for RabbitMQ's own start script and Erlang's port mapper. Debian's /usr/sbin/rabbitmq-server will
// not do: that wrapper insists on the system's own account and directories.
func findBroker(found *brokerPrograms) bool {
	var candidates []string
	for _, pattern := range []string{
		"/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin", "/opt/rabbitmq/sbin", "/opt/rabbitmq*/sbin",
		"/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin", "/usr/local/rabbitmq*/sbin",
	} {
		matches, _ := filepath.Glob(filepath.Join(pattern, "rabbitmq-server"))
		candidates = append(candidates, matches...)
	}
	if program, err := exec.LookPath("rabbitmq-server"); err == nil {
		candidates = append(candidates, program)
	}
	for _, candidate := range candidates {
		resolved, err := filepath.EvalSymlinks(candidate)
		if err == nil && filepath.Base(resolved) == "rabbitmq-server" {
			found.server = candidate
			break
		}
	}
	erl := findErlang("erl")
	found.epmd = findErlang("epmd")
	found.path = strings.Join(slices.Compact([]string{filepath.Dir(erl), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"}), ":")
	return found.server != "" && erl != "" && found.epmd != ""
}

func findErlang(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, pattern := range []string{"/usr/lib/erlang/bin", "/usr/lib/erlang/erts-*/bin", "/usr/local/lib/erlang/bin", "/opt/homebrew/opt/erlang/bin"} {
		if matches, _ := filepath.Glob(filepath.Join(pattern, program)); len(matches) > 0 {
			return matches[0]
		}
	}
	return ""
}
