package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
)

// servers are the PostgreSQL and the RabbitMQ of the bench.
type servers struct {
	cfg        Config
	admin      *sql.DB
	management *management.Client
	name       string // the prefix of all databases and virtual hosts of this bench
	template   string // a migrated database, copied for each run
	runs       int
	meter      meter
}

// benchCount numbers the benches of this process: several may run on the same servers.
var benchCount atomic.Int64

// connect sets the defaults of cfg and connects to its servers.
func connect(ctx context.Context, cfg *Config) (*servers, error) {
	cfg.defaults()
	s := &servers{cfg: *cfg}
	var err error
	if s.management, err = management.New(cfg.ManagementURL); err != nil {
		return nil, err
	}
	if s.admin, err = sql.Open("postgres", cfg.DatabaseURL); err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	s.name = fmt.Sprintf("composerp_bench_%d_%d", os.Getpid(), benchCount.Add(1))
	s.template = s.name + "_template"
	if err := s.makeTemplate(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("preparing the database: %w", err)
	}
	s.meter = newMeter(ctx, s.admin, s.management)
	return s, nil
}

func (s *servers) makeTemplate(ctx context.Context) error {
	if _, err := s.admin.ExecContext(ctx, `CREATE DATABASE `+s.template); err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{URL: withPath(s.cfg.DatabaseURL, s.template), Name: "bench"})
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = store.Migrate(ctx, db)
	return err
}

func (s *servers) close() {
	ctx, cancel := cleanUp()
	defer cancel()
	_ = s.drop(ctx, s.template)
	_ = s.admin.Close()
}

// cleanUp is a context for cleaning up after the end of the run's context.
func cleanUp() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

// environment is the database and the virtual host of one run.
type environment struct {
	servers     *servers
	name        string
	databaseURL string
	broker      rabbitmq.Config
}

// inEnvironment measures in an environment of its own, a copy of template, and removes it afterwards.
func inEnvironment[T any](ctx context.Context, s *servers, template string, measure func(env *environment) (T, error)) (measured T, err error) {
	env, err := s.newEnvironment(ctx, template)
	if err != nil {
		return measured, err
	}
	defer func() { err = errors.Join(err, env.remove()) }()
	return measure(env)
}

// measureAlone measures in one environment, for what is not measured in rounds. It sets the defaults of cfg first.
func measureAlone[T any](ctx context.Context, cfg *Config, measure func(env *environment) (T, error)) (measured T, err error) {
	s, err := connect(ctx, cfg)
	if err != nil {
		return measured, err
	}
	defer s.close()
	return inEnvironment(ctx, s, s.template, measure)
}

// newEnvironment makes an environment. Its database is a copy of template, or empty when that is "".
func (s *servers) newEnvironment(ctx context.Context, template string) (*environment, error) {
	s.runs++
	name := fmt.Sprintf("%s_%d", s.name, s.runs)
	env := &environment{servers: s, name: name, databaseURL: withPath(s.cfg.DatabaseURL, name)}
	env.broker = rabbitmq.Config{URLs: []string{withPath(s.cfg.AMQPURL, name)}, Name: "bench", Log: noLog}
	statement := `CREATE DATABASE ` + name
	if template != "" {
		statement += ` TEMPLATE ` + template
	}
	if _, err := s.admin.ExecContext(ctx, statement); err != nil {
		return nil, fmt.Errorf("making a database: %w", err)
	}
	if err := s.management.CreateVhost(ctx, name); err != nil {
		return nil, errors.Join(fmt.Errorf("making a virtual host: %w", err), env.remove())
	}
	return env, nil
}

// checkpoint writes the changes of earlier runs to disk, so that no run pays for another. It does nothing for a user
// without the privilege.
func (env *environment) checkpoint(ctx context.Context) {
	_, _ = env.servers.admin.ExecContext(ctx, `CHECKPOINT`)
}

func (env *environment) remove() error {
	ctx, cancel := cleanUp()
	defer cancel()
	return errors.Join(env.servers.drop(ctx, env.name), env.servers.management.DeleteVhost(ctx, env.name))
}

// drop deletes a database. It waits for an autovacuum worker in it, which only a superuser may terminate.
func (s *servers) drop(ctx context.Context, name string) error {
	for {
		_, err := s.admin.ExecContext(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`)
		var refused *pq.Error
		// Insufficient privilege, object in use.
		if err == nil || !errors.As(err, &refused) || refused.Code != "42501" && refused.Code != "55006" {
			return err
		}
		if !clock.Sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("deleting database %s: %w", name, err)
		}
	}
}

// open opens a bare connection pool to the environment's database.
func (env *environment) open(connections int) (*sql.DB, error) {
	db, err := sql.Open("postgres", env.databaseURL)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// withPath gives the URL with another database or virtual host.
func withPath(raw, name string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw // the connection attempt reports the error
	}
	u.Path = "/" + name
	return u.String()
}
