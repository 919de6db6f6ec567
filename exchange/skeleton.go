package exchange

import (
	"context"
	"log/slog"
	"time"
)

const (
	Events      = "composerp.events"
	Retry       = "composerp.retry"
	Dead        = "composerp.dead"
	Unrouted    = "composerp.unrouted"
	DeadJournal = "composerp.dead-journal"

	HeaderLogSeq             = "x-log-seq"
	HeaderAttempt            = "x-attempt"
	HeaderError              = "x-error"
	HeaderWorker             = "x-failed-worker"
	HeaderFirstFailedAt      = "x-first-failed-at"
	HeaderLastFailedAt       = "x-last-failed-at"
	HeaderOriginalExchange   = "x-original-exchange"
	HeaderOriginalRoutingKey = "x-original-routing-key"
)

type sentinel string

func (s sentinel) Error() string { return string(s) }

var (
	ErrBadURL            error = sentinel("bad url")
	ErrUnreachable       error = sentinel("unreachable")
	ErrAccessRefused     error = sentinel("access refused")
	ErrVhostMissing      error = sentinel("vhost missing")
	ErrMissing           error = sentinel("missing")
	ErrMismatch          error = sentinel("mismatch")
	ErrTaken             error = sentinel("taken")
	ErrSessionLost       error = sentinel("session lost")
	ErrUnroutable        error = sentinel("unroutable")
	ErrNacked            error = sentinel("nacked")
	ErrTooLarge          error = sentinel("too large")
	ErrConsumerCancelled error = sentinel("consumer cancelled")
	ErrDrained           error = sentinel("drained")
)

func integer(any) int64 { return 0 }

func QueueName(worker string) string                 { panic("skeleton") }
func RungName(worker string, d time.Duration) string { panic("skeleton") }
func DeadName(worker string) string                  { panic("skeleton") }
func RetryMessage(d Delivery, worker string, rung time.Duration, cause error) Message {
	panic("skeleton")
}
func DeadMessage(d Delivery, worker string, cause error) Message { panic("skeleton") }

type Failure struct {
	Worker             string
	Error              string
	Attempt            int
	FirstFailedAt      time.Time
	LastFailedAt       time.Time
	OriginalExchange   string
	OriginalRoutingKey string
}

// Failure reads back what RetryMessage and DeadMessage wrote, or what the broker's own dead-lettering did.
func (d Delivery) Failure() Failure { panic("skeleton") }

type Subscription struct {
	Worker      string
	RoutingKeys []string
	Ladder      []time.Duration
	Queue       string
}
type ExchangeSpec struct {
	Name      string         `json:"name"`
	Kind      string         `json:"type"`
	Arguments map[string]any `json:"arguments,omitempty"`
}
type QueueSpec struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
}
type BindingSpec struct {
	Exchange   string `json:"source"`
	Queue      string `json:"destination"`
	RoutingKey string `json:"routingKey"`
}
type Topology struct {
	Exchanges []ExchangeSpec `json:"exchanges"`
	Queues    []QueueSpec    `json:"queues"`
	Bindings  []BindingSpec  `json:"bindings"`
}

func Compute(subs []Subscription) Topology                        { panic("skeleton") }
func (t Topology) Apply(ctx context.Context, config Config) error { panic("skeleton") }

type Config struct {
	URLs         []string
	Name         string
	Heartbeat    time.Duration
	DialTimeout  time.Duration
	CloseTimeout time.Duration
	Backoff      time.Duration
	MaxBackoff   time.Duration
	Log          *slog.Logger
}
type Session struct{}

func Open(ctx context.Context, config Config) (*Session, error) { panic("skeleton") }
func Maintain(ctx context.Context, config Config, run func(ctx context.Context, s *Session) error) error {
	panic("skeleton")
}
func (s *Session) Done() <-chan struct{}                                      { panic("skeleton") }
func (s *Session) Err() error                                                 { panic("skeleton") }
func (s *Session) Close() error                                               { panic("skeleton") }
func (s *Session) Blocked() (reason string, blocked bool)                     { panic("skeleton") }
func (s *Session) Publisher(window int) (*Publisher, error)                   { panic("skeleton") }
func (s *Session) Consume(queue, tag string, prefetch int) (*Consumer, error) { panic("skeleton") }
func (s *Session) Depth(queue string) (ready int, consumers int, err error)   { panic("skeleton") }

type Publisher struct{}

func (p *Publisher) Publish(ctx context.Context, m Message) (*Confirmation, error) { panic("skeleton") }
func (p *Publisher) InFlight() int                                                 { panic("skeleton") }
func (p *Publisher) Close() error                                                  { panic("skeleton") }

type Confirmation struct{}

func (c *Confirmation) Wait(ctx context.Context) error { panic("skeleton") }

type Consumer struct{}

func (c *Consumer) Take(ctx context.Context, max int) ([]Delivery, error) { panic("skeleton") }
func (c *Consumer) Ack(upTo Delivery) error                               { panic("skeleton") }
func (c *Consumer) AckOne(d Delivery) error                               { panic("skeleton") }
func (c *Consumer) Requeue(d Delivery) error                              { panic("skeleton") }
func (c *Consumer) Cancel() error                                         { panic("skeleton") }
func (c *Consumer) Close() error                                          { panic("skeleton") }

type Management struct{}
type QueueState struct {
	Name        string
	Ready       int64
	Unacked     int64
	Consumers   int
	MessagesDLX int64
}
type Overview struct{ Version, Erlang, Node string }
type ConnectionState struct{ Name, ClientName, Vhost, User string }

func NewManagement(url string) (*Management, error) { panic("skeleton") }
func (m *Management) Queues(ctx context.Context, vhost string) ([]QueueState, error) {
	panic("skeleton")
}
func (m *Management) Overview(ctx context.Context) (Overview, error)     { panic("skeleton") }
func (m *Management) Vhosts(ctx context.Context) ([]string, error)       { panic("skeleton") }
func (m *Management) CreateVhost(ctx context.Context, name string) error { panic("skeleton") }
func (m *Management) DeleteVhost(ctx context.Context, name string) error { panic("skeleton") }
func (m *Management) Connections(ctx context.Context, vhost string) ([]ConnectionState, error) {
	panic("skeleton")
}
func (m *Management) CloseConnection(ctx context.Context, name, reason string) error {
	panic("skeleton")
}
