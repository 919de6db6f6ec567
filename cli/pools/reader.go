package pools

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/scaler"
)

// Reader reads what the fleet's workers, queues and nodes do. It keeps its connections from one reading to the next.
// What has failed is opened anew by the next one, at the addresses that count then.
type Reader struct {
	discover func() (settings.Endpoints, error)
	config   func(settings.Endpoints) (rabbitmq.Config, error)

	reading sync.Mutex // one at a time
	session *rabbitmq.Session

	mu sync.Mutex
	at settings.Endpoints
	db *store.DB
}

// NewReader makes a reader of the servers of the settings, or of a running `up`. It does not connect.
func NewReader(cctx *cli.Context, log *slog.Logger) *Reader {
	return &Reader{
		discover: func() (settings.Endpoints, error) { return settings.Discover(cctx) },
		config: func(at settings.Endpoints) (rabbitmq.Config, error) {
			broker, err := settings.BrokerConfig(at, log)
			broker.Name = "list"
			return broker, err
		},
	}
}

// NewFleetReader makes a reader for the fleet of this process, of servers that are known. It takes the pool, of two
// connections at least, and closes it.
func NewFleetReader(at settings.Endpoints, db *store.DB, broker rabbitmq.Config) *Reader {
	return &Reader{
		discover: func() (settings.Endpoints, error) { return at, nil },
		config:   func(settings.Endpoints) (rabbitmq.Config, error) { return broker, nil },
		at:       at, db: db,
	}
}

// Close closes what is open. While a reading waits for a server it leaves that to the end of the process.
func (r *Reader) Close() {
	if !r.reading.TryLock() {
		return
	}
	defer r.reading.Unlock()
	r.closeSession()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db != nil {
		r.db.Close()
		r.db = nil
	}
}

func (r *Reader) closeSession() {
	if r.session != nil {
		r.session.Close()
		r.session = nil
	}
}

// Sample is what was read at one time.
type Sample struct {
	At      time.Time       `json:"at"`
	Queues  []Queue         `json:"queues"`
	Nodes   []Node          `json:"nodes"`
	Changes []scaling.Event `json:"changes"` // of desired numbers, the newest first
	Log     *Log            `json:"log"`
	// Problems say what could not be read; what it would have told is null.
	Problems []string `json:"problems"`

	// Database, Broker and Rates are why a server could not be read.
	Database, Broker, Rates error `json:"-"`

	rates bool // the management API has answered
	state scaling.State
}

// Log is how far the relay is behind the log.
type Log struct {
	Relay       string  `json:"relay"`       // the process that leads; "": none
	Unpublished int64   `json:"unpublished"` // log positions that it has not passed
	Behind      float64 `json:"behindSeconds"`
}

// errNoFleet says that no broker is known.
var errNoFleet = errors.New("no fleet runs here, so queues are not counted")

// Read reads queues and nodes. The error is a setting's; a server that is away is a field of the sample.
func (r *Reader) Read(ctx context.Context) (s Sample, err error) {
	r.reading.Lock()
	defer r.reading.Unlock()
	at, err := r.connectable()
	if err != nil {
		return s, err
	}
	s.At = time.Now()
	for _, w := range workers.Fleet(workers.Config{}) {
		s.Queues = append(s.Queues, queueOf(w))
	}
	var slots slotsKnown
	if at.Database != "" {
		slots, s.Database = r.readSlots(ctx)
	}
	queues, err := r.readQueues(ctx, at, slots.sets, &s)
	if err != nil {
		return s, err
	}
	if slots.known {
		s.state, s.Nodes = slots.state, nodesOf(slots.state, slots.reports)
	}
	s.rates = queues.rates
	for i := range s.Queues {
		queues.fill(&s.Queues[i])
		slots.fill(&s.Queues[i])
		s.Queues[i].drainETA()
	}
	s.Problems = s.problems()
	return s, nil
}

// changesShown is how many of the last changes a sample has.
const changesShown = 50

// ReadAll is Read with the last changes and the log.
func (r *Reader) ReadAll(ctx context.Context) (Sample, error) {
	s, err := r.Read(ctx)
	if err != nil || s.Database != nil {
		return s, err
	}
	db, err := r.DB(ctx)
	if err != nil {
		return s, nil // no database is known
	}
	var log eventlog.Health
	if s.Changes, s.Database = scaling.LastChanges(ctx, db, changesShown); s.Database == nil {
		log, s.Database = eventlog.ReadHealth(ctx, db)
	}
	if s.Database == nil {
		s.Log = &Log{log.RelayHolder, log.Unpublished, log.Behind.Seconds()}
	}
	s.Problems = s.problems()
	return s, nil
}

// connectable finds where the servers are, and closes connections to where they were.
func (r *Reader) connectable() (settings.Endpoints, error) {
	at, err := r.discover()
	if err != nil {
		return at, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.Database != r.at.Database && r.db != nil {
		r.db.Close()
		r.db = nil
	}
	if at.AMQP != r.at.AMQP {
		r.closeSession()
	}
	r.at = at
	return at, nil
}

// DB is the database, opened once. It has a connection beside that of Read.
func (r *Reader) DB(ctx context.Context) (*store.DB, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db != nil {
		return r.db, nil
	}
	db, err := settings.OpenDatabase(ctx, r.at, "scale", 2)
	if err == nil {
		r.db = db
	}
	return db, err
}

func (r *Reader) readSlots(ctx context.Context) (slotsKnown, error) {
	db, err := r.DB(ctx)
	if err != nil {
		return slotsKnown{}, err
	}
	return readSlots(ctx, db)
}

// readQueues asks the broker, over a session that is kept. The error is a setting's.
func (r *Reader) readQueues(ctx context.Context, at settings.Endpoints, sets []lanes.Set, s *Sample) (k queuesKnown, err error) {
	if at.AMQP == "" {
		s.Broker = errNoFleet
		return k, nil
	}
	config, err := r.config(at)
	if err != nil {
		return k, err
	}
	if r.session == nil || r.session.Err() != nil {
		r.closeSession()
		if r.session, s.Broker = rabbitmq.Open(ctx, config); s.Broker != nil {
			r.session = nil
			return k, nil
		}
	}
	if k, s.Broker = readQueues(r.session, sets); s.Broker == nil {
		s.Rates = k.readRates(ctx, at, config)
	}
	return k, nil
}

const queuesNotCounted = "queues are not counted: "

// problems are a sentence for each server that could not be read.
func (s Sample) problems() []string {
	problems := []string{}
	for _, p := range []struct {
		what string
		err  error
	}{{"slots are not counted: ", s.Database}, {queuesNotCounted, s.Broker}, {"rates are not known: ", s.Rates}} {
		switch {
		case p.err == nil:
		case errors.Is(p.err, errNoFleet):
			problems = append(problems, p.err.Error())
		default:
			problems = append(problems, p.what+exit.OneLine(p.err))
		}
	}
	return problems
}

// Told says on stderr what the sample lacks. Of a broker that does not answer it returns the error.
func (s Sample) Told(cctx *cli.Context) error {
	away := s.Broker
	if errors.Is(away, errNoFleet) {
		away = nil
	}
	for _, p := range s.Problems {
		if away == nil || !strings.HasPrefix(p, queuesNotCounted) {
			terminal.Say(cctx, "%s", p)
		}
	}
	return cmp.Or(away, cctx.Context.Err())
}

// Whole reports whether database and broker were read.
func (s Sample) Whole() bool { return s.Database == nil && s.Broker == nil }

// Lacking says why not all slots of a change would have a place; "" when they would, or the slots are not known.
func (s Sample) Lacking(c scaling.Change) string {
	if len(s.state.Nodes) == 0 {
		return ""
	}
	return scaler.Why(supposing(s.state, []scaling.Change{c}), c.Queue)
}
