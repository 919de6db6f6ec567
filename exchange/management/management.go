package management

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/certificates"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
)

// Client calls RabbitMQ's management API. Its figures are as old as the broker's statistics, 5 s by default;
// rabbitmq.Session.Depth is exact.
type Client struct {
	target
	client  *http.Client
	current func() string // the URL as it is now
	log     *slog.Logger
}

// target is where the API is, and who calls it.
type target struct {
	base     string // without credentials
	user     string
	password string
	files    certificates.Files
}

// Overview identifies a broker.
type Overview struct {
	Version string `json:"rabbitmq_version"`
	Erlang  string `json:"erlang_version"`
	Node    string `json:"node"`
}

// New makes a client for a URL such as http://user:password@host:15672. It does not connect. The parameters cacertfile,
// certfile and keyfile of an https:// URL name files, as in a broker's URL.
func New(rawURL string) (*Client, error) {
	return NewRenewed(func() string { return rawURL }, slog.Default())
}

// NewRenewed is New for a URL whose user, password and parameters may change: each call has those of its time. The log
// gets what is wrong with files that the URL names.
func NewRenewed(current func() string, log *slog.Logger) (*Client, error) {
	at, err := targetOf(current())
	if err != nil {
		return nil, err
	}
	m := &Client{target: at, current: current, log: log}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialTLSContext = m.dialTLS
	m.client = &http.Client{Timeout: 30 * time.Second, Transport: transport}
	return m, nil
}

// now is the target as it is now.
func (m *Client) now() target {
	at, err := targetOf(m.current())
	if err != nil {
		return m.target
	}
	return at
}

func targetOf(rawURL string) (target, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The parser's own error may quote the password.
		return target{}, errors.New("the management API's URL is not of the form http://user:password@host:port; percent-encode special characters in user and password")
	}
	q := u.Query()
	at := target{user: "guest", password: "guest", files: certificates.Files{Authority: q.Get("cacertfile"), Certificate: q.Get("certfile"), Key: q.Get("keyfile")}}
	if u.User != nil {
		at.user = u.User.Username()
		at.password, _ = u.User.Password()
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	at.base = strings.TrimSuffix(u.String(), "/")
	return at, nil
}

// dialTLS reads the certificates anew for each connection.
func (m *Client) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	encrypted, err := m.now().files.Config(host, m.log)
	if err != nil {
		return nil, badCertificate(err.Error())
	}
	return (&tls.Dialer{Config: encrypted}).DialContext(ctx, network, address)
}

// Overview identifies the broker: the cheapest check that it answers.
func (m *Client) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	err := m.call(ctx, http.MethodGet, "/api/overview", nil, &o)
	return o, err
}

// ratesOf has the broker average its rates over 20 s: over its last sample alone, the default, a broker under
// load gives 0 for a queue whose messages are handled.
const ratesOf = "&msg_rates_age=20&msg_rates_incr=5"

// Queues returns the state of every queue of a virtual host, by its name.
func (m *Client) Queues(ctx context.Context, vhost string) (map[string]topology.QueueState, error) {
	var found []struct {
		Name      string          `json:"name"`
		Ready     *int64          `json:"messages_ready"`
		Unacked   int64           `json:"messages_unacknowledged"`
		Consumers int             `json:"consumers"`
		DLX       int64           `json:"messages_dlx"`
		Bytes     int64           `json:"message_bytes"`
		Stats     json.RawMessage `json:"message_stats"` // an object, or [] before the first message
		Policy    string          `json:"policy"`
		Operator  string          `json:"operator_policy"`
		Effective json.RawMessage `json:"effective_policy_definition"` // an object, or [] without a policy
	}
	err := m.call(ctx, http.MethodGet, "/api/queues/"+url.PathEscape(vhost)+
		"?columns=name,messages_ready,messages_unacknowledged,consumers,messages_dlx,message_bytes,message_stats.ack,message_stats.publish_details.avg_rate,message_stats.ack_details.avg_rate,policy,operator_policy,effective_policy_definition"+ratesOf, nil, &found)
	if err != nil {
		return nil, err
	}
	states := make(map[string]topology.QueueState, len(found))
	for _, q := range found {
		state := topology.QueueState{Name: q.Name, Unacked: q.Unacked, Consumers: q.Consumers, MessagesDLX: q.DLX, Bytes: q.Bytes, Counted: q.Ready != nil}
		type rate struct {
			Rate float64 `json:"avg_rate"`
		}
		var stats struct {
			Ack  int64 `json:"ack"`
			In   rate  `json:"publish_details"`
			Acks rate  `json:"ack_details"`
		}
		if json.Unmarshal(q.Stats, &stats) == nil {
			state.Acked, state.InRate, state.AckRate = stats.Ack, stats.In.Rate, stats.Acks.Rate
		}
		if len(q.Effective) > len("{}") {
			if err := json.Unmarshal(q.Effective, &state.Policy); err != nil {
				return nil, fmt.Errorf("reading the policy of queue %s: %w", q.Name, err)
			}
			state.PolicyName = topology.PolicyNames(q.Policy, q.Operator)
		}
		if q.Ready != nil {
			state.Ready = *q.Ready
		}
		states[q.Name] = state
	}
	return states, nil
}

// CreateVhost makes a virtual host, unless it exists, and gives this client's user all permissions on it.
func (m *Client) CreateVhost(ctx context.Context, name string) error {
	if err := m.call(ctx, http.MethodPut, "/api/vhosts/"+url.PathEscape(name), struct{}{}, nil); err != nil {
		return err
	}
	all := map[string]string{"configure": ".*", "write": ".*", "read": ".*"}
	return m.call(ctx, http.MethodPut, "/api/permissions/"+url.PathEscape(name)+"/"+url.PathEscape(m.user), all, nil)
}

// DeleteVhost deletes a virtual host with everything in it.
func (m *Client) DeleteVhost(ctx context.Context, name string) error {
	return m.call(ctx, http.MethodDelete, "/api/vhosts/"+url.PathEscape(name), nil, nil)
}

// Import makes or changes what definitions say, in RabbitMQ's import format, and leaves the rest. It takes an
// administrator.
func (m *Client) Import(ctx context.Context, definitions any) error {
	return m.call(ctx, http.MethodPost, "/api/definitions", definitions, nil)
}

// DeleteQueue deletes a queue with everything in it.
func (m *Client) DeleteQueue(ctx context.Context, vhost, queue string) error {
	return m.call(ctx, http.MethodDelete, "/api/queues/"+url.PathEscape(vhost)+"/"+url.PathEscape(queue), nil, nil)
}

// DeleteExchange deletes an exchange with all its bindings.
func (m *Client) DeleteExchange(ctx context.Context, vhost, name string) error {
	return m.call(ctx, http.MethodDelete, "/api/exchanges/"+url.PathEscape(vhost)+"/"+url.PathEscape(name), nil, nil)
}

// CloseConnectionsOf closes every connection of a user, including those that the statistics do not show yet.
func (m *Client) CloseConnectionsOf(ctx context.Context, user, reason string) error {
	return m.call(ctx, http.MethodDelete, "/api/connections/username/"+url.PathEscape(user), nil, nil, header{"X-Reason", reason})
}

type header struct{ name, value string }

// call sends body as JSON, unless nil, and decodes the answer into result, unless nil.
func (m *Client) call(ctx context.Context, method, path string, body, result any, headers ...header) error {
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding a request to the management API: %w", err)
		}
		sent = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, m.base+path, sent)
	if err != nil {
		return fmt.Errorf("calling the management API at %s: %w", m.base, err)
	}
	at := m.now()
	request.SetBasicAuth(at.user, at.password)
	request.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		request.Header.Set(h.name, h.value)
	}
	answer, err := m.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("calling the management API at %s: %w", m.base, ctx.Err())
		}
		if bad, found := errors.AsType[badCertificate](err); found {
			return fmt.Errorf("calling the management API at %s: %w", m.base, bad)
		}
		if advice := certificates.Advice(err, "cacertfile"); advice != "" {
			return fmt.Errorf("calling the management API at %s: %w", m.base, badCertificate(advice+" ("+wording.LastCause(err)+")"))
		}
		return fmt.Errorf("calling the management API at %s: %w", m.base, managementUnreachable(wording.LastCause(err)))
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("calling the management API at %s: %s %s: %w", m.base, method, request.URL.EscapedPath(), statusError(answer, request.URL.EscapedPath()))
	}
	if result == nil {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(result); err != nil {
		return fmt.Errorf("reading the management API's answer to %s: %w", request.URL.EscapedPath(), err)
	}
	return nil
}

// managementUnreachable is ErrUnreachable with the advice that fits an HTTP port.
type managementUnreachable string

func (m managementUnreachable) Error() string {
	return "it is unreachable; start RabbitMQ there with its management plugin, or correct host and port of the URL (" + string(m) + ")"
}

// Is makes errors.Is find ErrUnreachable.
func (managementUnreachable) Is(target error) bool { return target == rabbitmq.ErrUnreachable }

// badCertificate is ErrBadCertificate without the broker's words.
type badCertificate string

func (b badCertificate) Error() string { return string(b) }

// Is makes errors.Is find ErrBadCertificate.
func (badCertificate) Is(wanted error) bool { return wanted == rabbitmq.ErrBadCertificate }

// collectionPath matches requests for everything of a kind in a virtual host.
var collectionPath = regexp.MustCompile(`^/api/(queues|exchanges|bindings)/[^/]*$`)

// statusError maps an HTTP status to the errors of package rabbitmq.
func statusError(answer *http.Response, path string) error {
	var problem struct {
		Reason any `json:"reason"`
	}
	_ = json.NewDecoder(io.LimitReader(answer.Body, 4096)).Decode(&problem)
	reason := answer.Status
	if problem.Reason != nil {
		reason = wording.OneLine(fmt.Sprint(problem.Reason))
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w (%s)", rabbitmq.ErrAccessRefused, reason)
	case http.StatusNotFound:
		if strings.HasPrefix(path, "/api/vhosts/") || collectionPath.MatchString(path) {
			return fmt.Errorf("%w (%s)", rabbitmq.ErrVhostMissing, reason)
		}
		return fmt.Errorf("%w (%s)", rabbitmq.ErrMissing, reason)
	default:
		return errors.New(reason)
	}
}
