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

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
)

// servers are the PostgreSQL and the RabbitMQ that everything runs on.
type servers struct {
	cfg        Config
	admin      *sql.DB
	management *management.Client
	name       string // what all databases and virtual hosts of this bench begin with
	template   string // a migrated database, copied for each run
	runs       int
	meter      meter
}

// benches counts those of this process: several may run on the same servers.
var benches atomic.Int64

func connect(ctx context.Context, cfg Config) (*servers, error) {
	s := &servers{cfg: cfg}
	var err error
	if s.management, err = management.New(cfg.ManagementURL); err != nil {
		return nil, err
	}
	if s.admin, err = sql.Open("postgres", cfg.DatabaseURL); err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	s.name = fmt.Sprintf("composerp_bench_%d_%d", os.Getpid(), benches.Add(1))
	s.template = s.name + "_template"
	if err := s.makeTemplate(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("preparing the database: %w", err)
	}
	s.meter = newMeter(ctx, s.admin, cfg.ManagementURL)
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

// cleanUp is a context for clearing up, whatever has become of the one that was worked in.
func cleanUp() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

// place is one run's own database and virtual host.
type place struct {
	servers     *servers
	name        string
	databaseURL string
	exchange    rabbitmq.Config
}

// inPlace measures in one place, on servers of its own, and leaves nothing behind.
func inPlace(ctx context.Context, cfg Config, measure func(p *place) error) error {
	s, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := s.newPlace(ctx, s.template)
	if err != nil {
		return err
	}
	return errors.Join(measure(p), p.remove())
}

// newPlace makes a place; the database is a copy of template, or empty when that is "".
func (s *servers) newPlace(ctx context.Context, template string) (*place, error) {
	s.runs++
	name := fmt.Sprintf("%s_%d", s.name, s.runs)
	p := &place{servers: s, name: name, databaseURL: withPath(s.cfg.DatabaseURL, name)}
	p.exchange = rabbitmq.Config{URLs: []string{withPath(s.cfg.AMQPURL, name)}, Name: "bench", Log: quiet}
	statement := `CREATE DATABASE ` + name
	if template != "" {
		statement += ` TEMPLATE ` + template
	}
	if _, err := s.admin.ExecContext(ctx, statement); err != nil {
		return nil, fmt.Errorf("making a database: %w", err)
	}
	if err := s.management.CreateVhost(ctx, name); err != nil {
		return nil, errors.Join(fmt.Errorf("making a virtual host: %w", err), p.remove())
	}
	return p, nil
}

// settle writes out what earlier runs left behind, so that no run pays for another. It needs a right that not everybody has.
func (p *place) settle(ctx context.Context) { _, _ = p.servers.admin.ExecContext(ctx, `CHECKPOINT`) }

func (p *place) remove() error {
	ctx, cancel := cleanUp()
	defer cancel()
	return errors.Join(p.servers.drop(ctx, p.name), p.servers.management.DeleteVhost(ctx, p.name))
}

// drop deletes a database. An autovacuum worker in it belongs to the superuser, and may not be sent away by everybody: it is waited for.
func (s *servers) drop(ctx context.Context, name string) error {
	for {
		_, err := s.admin.ExecContext(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`)
		var refused *pq.Error
		if err == nil || !errors.As(err, &refused) || refused.Code != "42501" && refused.Code != "55006" { // insufficient privilege, object in use
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("deleting database %s: %w", name, err)
		}
	}
}

// open gives a bare connection pool to the place's database.
func (p *place) open(connections int) (*sql.DB, error) {
	db, err := sql.Open("postgres", p.databaseURL)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// withPath gives the URL with another database or virtual host in it.
func withPath(raw, name string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw // whoever connects with it says what is wrong
	}
	u.Path = "/" + name
	return u.String()
}
