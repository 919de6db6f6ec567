package doctor

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
)

// loginsAtOnce is how many logins of a file of secrets are tried at once, loginTime how long each may take.
const (
	loginsAtOnce = 8
	loginTime    = 5 * time.Second
)

// examineSecrets reports where the `up` of this directory uses other secrets than its file has, and URLs of the file at
// hand that a server refuses: what runs goes on by its open connections, and fails when it connects again.
func (x *Examination) examineSecrets(cctx *cli.Context) {
	file, err := settings.Configured(cctx).Value(settings.Named(settings.FlagSecrets))
	if err != nil {
		return // Discover has said so
	}
	running, err := settings.Find(x.dir)
	if err == nil && running != nil && running.SecretsFile != "" {
		x.examineRunning(running, file.Text)
	}
	path := file.Text
	if path == "" && running != nil {
		path = running.SecretsFile
	}
	urls, err := secrets.Read(path)
	if path == "" || err != nil || len(urls) == 0 {
		return // what cannot be read is said already
	}
	refused := x.refusedLogins(cctx.Context, urls)
	for _, key := range slices.Sorted(maps.Keys(refused)) {
		x.problem("secrets", "composerp secrets apply gives the server the password of the file; or correct the file",
			"%s of %s is refused: a process that uses it goes on until it connects again: %s", key, path, refused[key])
	}
	if !x.has("secrets") {
		x.ok("secrets", "the servers accept the %d users of %s", len(urls), path)
	}
}

// examineRunning compares what a running `up` uses with its file, and with the file of this command.
func (x *Examination) examineRunning(running *settings.State, own string) {
	pending, err := running.Pending()
	switch {
	case err != nil:
		x.warn("secrets", "correct the file, or for other servers restart: the process goes on with what it has read before, and does not start anew with this",
			"the process %s uses other secrets than %s has: %s", strconv.Itoa(running.PID), running.SecretsFile, exit.OneLine(exit.Reason(err)))
	case len(pending) > 0:
		x.ok("secrets", "the process %s has connections by earlier secrets than %s has; its next ones use what is new of %s", strconv.Itoa(running.PID), running.SecretsFile, strings.Join(pending, ", "))
	}
	if path, err := filepath.Abs(own); own == "" || err != nil || path == running.SecretsFile {
		return
	}
	var differ []string
	for key, url := range x.Secrets {
		if used := running.Secrets[key]; used != "" && used != url {
			differ = append(differ, key)
		}
	}
	if slices.Sort(differ); len(differ) > 0 {
		x.warn("secrets", "unset COMPOSERP_SECRETS, or name the file of the process",
			"the process %s uses %s, and this command %s: they differ in %s", strconv.Itoa(running.PID), running.SecretsFile, own, strings.Join(differ, ", "))
	}
}

// refusedLogins tries each URL, and gives the errors of those whose user or password a server refuses. A server that
// cannot be reached is reported elsewhere.
func (x *Examination) refusedLogins(ctx context.Context, urls secrets.URLs) map[string]string {
	refused := map[string]string{}
	var mu sync.Mutex
	var tries errgroup.Group
	tries.SetLimit(loginsAtOnce)
	for key, url := range urls {
		tries.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, loginTime)
			defer cancel()
			if err := x.logIn(ctx, key, url); errors.Is(err, rabbitmq.ErrAccessRefused) && !forbidden(err) || errors.Is(err, store.ErrAccess) {
				mu.Lock()
				defer mu.Unlock()
				refused[key] = exit.OneLine(err)
			}
			return nil
		})
	}
	_ = tries.Wait()
	return refused
}

func (x *Examination) logIn(ctx context.Context, key, url string) error {
	alone := settings.Endpoints{}
	switch {
	case strings.HasPrefix(key, "DATABASE_"):
		alone.Database = url
		db, err := settings.OpenDatabase(ctx, alone, "doctor", 1)
		if err == nil {
			db.Close()
		}
		return err
	case strings.HasPrefix(key, "MANAGEMENT_"):
		alone.Management = url
		api, err := settings.ManagementClient(alone)
		if err == nil {
			_, err = api.Overview(ctx)
		}
		return err
	default:
		alone.AMQP = url
		broker, err := settings.BrokerConfig(alone, x.log)
		if err != nil {
			return err
		}
		broker.Name, broker.DialTimeout = "doctor", loginTime
		session, err := rabbitmq.Open(ctx, broker)
		if err == nil {
			_ = session.Close()
		}
		return err
	}
}
