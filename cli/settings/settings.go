// Package settings reads flags, environment, configuration file and the state of a running `up`.
package settings

import (
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/workers/worker/webcall"
)

// # Settings
//
// The table settings is everything that can be configured in
// Composerp: a line there is a flag, an environment variable (and the same with _FILE
// for a file that holds the value), a key of the configuration file, and a line
// of `doctor --show-config`. Options of one command (--dry-run, --item) are not
// settings; their flags are defined with the command.
//
// A setting comes from the first of these that has it, and each is read only
// when the setting is used: the flag, the environment, the file that the
// environment names, the configuration file, a running `up` (for the servers),
// the default. An empty value is none.

// The settings' names, which are also the names of their flags.
const (
	FlagConfig        = "config"
	FlagDir           = "dir"
	FlagDatabase      = "database-url"
	FlagAMQP          = "amqp-url"
	FlagManagement    = "management-url"
	FlagSecrets       = "secrets"
	FlagTenant        = "tenant"
	FlagSlots         = "slots"
	FlagMaxSlots      = "max-slots"
	FlagLabels        = "labels"
	FlagOperator      = "operator"
	FlagMetrics       = "metrics-addr"
	FlagPageToken     = "page-token"
	FlagPageHosts     = "page-hosts"
	FlagMetricsWith   = "metrics-with"
	FlagNotification  = "notification-url"
	FlagAlert         = "alert-url"
	FlagAlertmanager  = "alertmanager-url"
	flagWebhookSecret = "webhook-secret"
	FlagOTLP          = "otlp-endpoint"
	FlagTraceRatio    = "trace-ratio"
	FlagLogLevel      = "log-level"
	FlagLogFormat     = "log-format"
	FlagArchiveAfter  = "archive-after"
	flagGatewayAddr   = "gateway-addr"
	flagGatewayRate   = "gateway-rate"
	flagGatewayOpen   = "gateway-open"
	flagGatewayCert   = "gateway-tls-cert"
	flagGatewayKey    = "gateway-tls-key"
)

// All are in the order in which they are shown.
var All = []setting{
	{Name: FlagConfig, NotInFile: true, Usage: "configuration file, YAML; default composerp.yaml of this directory", file: true},
	{Name: FlagDatabase, Show: WithoutPassword, Usage: "PostgreSQL, postgres://user:password@host:port/database", Server: true},
	{Name: FlagAMQP, form: asList, Show: WithoutPassword, Usage: "RabbitMQ, amqp://user:password@host:port/vhost; nodes of a cluster separated by commas", Server: true},
	{Name: FlagManagement, Show: WithoutPassword, Usage: "RabbitMQ's management API, http://user:password@host:15672", Server: true},
	{Name: FlagSecrets, Usage: "file with a URL of each server for each part of the fleet, as `composerp secrets create` writes it", file: true},
	{Name: FlagDir, Standard: ".composerp", Usage: "directory of the private servers' data, logs and addresses", file: true},
	{Name: FlagTenant, Standard: "default", Usage: "tenant"},
	{Name: FlagSlots, form: asSlots, check: checkSlots, Usage: "consumers of each worker that `composerp scale` has not set: N for all, or worker=N,worker=N"},
	{Name: FlagMaxSlots, check: checkMaxSlots, Usage: "most slots of this process, a database connection each; default: those of --slots and 32 more"},
	{Name: FlagLabels, form: asList, check: checkLabels, Usage: "labels of this process for `composerp scale --on`, such as zone=north, separated by commas"},
	{Name: FlagOperator, Usage: "name of who runs a command, for the operator log; default: the user of this machine"},
	{Name: FlagMetrics, Standard: defaultMetrics, Usage: "address of the metrics for Prometheus; a free port when the default is taken"},
	{Name: FlagPageToken, check: checkPageToken, Show: func(string) string { return hidden },
		Usage: "secret by which the page at the metrics' address is opened, 16 characters or more; needed where that address is not on loopback; better in a file"},
	{Name: FlagPageHosts, form: asList, Usage: "names by which browsers reach the page, beside localhost, IP addresses and this machine's name, separated by commas"},
	{Name: FlagMetricsWith, form: asList, check: checkMetricsWith,
		Usage: "what else --metrics-addr serves, separated by commas: native (native histograms), pprof (Go's profiles; on loopback alone)"},
	{Name: FlagNotification, check: checkHTTP, Show: HostOnly, Usage: "webhook for order notifications (POST, JSON); unset: log and table only"},
	{Name: FlagAlert, check: checkHTTP, Show: HostOnly, Usage: "webhook for low stock and expiring lots (POST, JSON); unset: log and table only"},
	{Name: FlagAlertmanager, check: checkHTTP, Show: WithoutPassword, Usage: "Alertmanager for low stock and expiring lots, its base URL, http://host:9093"},
	{Name: flagWebhookSecret, form: asList, check: checkSecrets, Show: func(string) string { return hidden },
		Usage: "secrets by which webhooks and orders to suppliers are signed, whsec_BASE64, separated by commas; better in a file"},
	{Name: flagGatewayAddr, Standard: "127.0.0.1:8470", Usage: "where the gateway takes events over HTTP, host:port"},
	{Name: flagGatewayRate, Standard: "5000", check: checkPositive, Usage: "most events a second of each API key of the gateway"},
	{Name: flagGatewayOpen, Standard: "64", check: checkPositive, Usage: "most requests at once of each API key of the gateway"},
	{Name: flagGatewayCert, Usage: "certificate of the gateway, PEM, with those that lead to its root; read again when it changes; unset: no TLS", file: true},
	{Name: flagGatewayKey, Usage: "private key of the gateway's certificate, PEM", file: true},
	{Name: FlagOTLP, check: checkHTTP, Show: WithoutPassword, Usage: "collector of OpenTelemetry that gets spans, by OTLP over HTTP: http://host:4318; unset: none are made"},
	{Name: FlagTraceRatio, Standard: "1", check: checkRatio, Usage: "part of the traces to record where no traceparent says whether to, above 0 and at most 1"},
	{Name: FlagLogLevel, Standard: "warn", check: checkLevel, Usage: "debug, info, warn or error"},
	{Name: FlagArchiveAfter, check: checkAge, Usage: "age from which on partitions of the log are to be archived, such as 400d: doctor warns of older ones; unset: never"},
	{Name: FlagLogFormat, Standard: "text", check: checkLogFormat, Usage: "text or json, to stderr"},
}

// setting is one line of the table. Its zero value is a text that may be shown.
type setting struct {
	Name      string
	Standard  string // the default
	Usage     string
	form      form                      // how the configuration file may write it
	check     func(value string) error  // says what a value must be
	Show      func(value string) string // takes out what is secret
	Server    bool                      // a running `up` says it
	file      bool                      // it is a path: in the configuration file it is relative to that file
	NotInFile bool
}

// key is the setting's name in the configuration file.
func (s setting) Key() string { return strings.ReplaceAll(s.Name, "-", "_") }

// variable is the setting's name in the environment.
func (s setting) Variable() string { return "COMPOSERP_" + strings.ToUpper(s.Key()) }

// Named gives a setting of the table; to ask for another is a mistake in this package.
func Named(name string) setting {
	i := slices.IndexFunc(All, func(s setting) bool { return s.Name == name })
	if i < 0 {
		panic("cli: there is no setting " + name)
	}
	return All[i]
}

// Flag is the flag of a setting. It does not read the environment
// itself, as its embedded flag would: see configuration.
type Flag struct {
	*cli.StringFlag
	setting setting
}

// FlagOf makes a setting's flag, for the Flags of a command.
func FlagOf(name string) Flag {
	s := Named(name)
	return Flag{&cli.StringFlag{Name: s.Name, Value: s.Standard, Usage: s.Usage, EnvVars: []string{s.Variable()}}, s}
}

// Flags are the flags of all settings.
func Flags() []cli.Flag {
	flags := make([]cli.Flag, len(All))
	for i, s := range All {
		flags[i] = FlagOf(s.Name)
	}
	return flags
}

// Apply makes the flag known to the flag package.
func (f Flag) Apply(set *flag.FlagSet) error {
	bare := *f.StringFlag
	bare.EnvVars = nil
	return bare.Apply(set)
}

// What the address of the metrics serves when asked for.
const (
	NativeHistograms = "native"
	Profiles         = "pprof"
)

func checkMetricsWith(value string) error {
	_, err := ParseMetricsWith(value)
	return err
}

// ParseMetricsWith reads what the address of the metrics serves beside them.
func ParseMetricsWith(text string) (with []string, err error) {
	for part := range strings.SplitSeq(text, ",") {
		switch part = strings.TrimSpace(part); part {
		case "":
		case NativeHistograms, Profiles:
			with = append(with, part)
		default:
			return nil, fmt.Errorf("want %s, %s or both, separated by a comma", NativeHistograms, Profiles)
		}
	}
	return with, nil
}

func checkPositive(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 1 {
		return fmt.Errorf("want a whole number of 1 or more")
	}
	return nil
}

func checkLevel(value string) error {
	var level slog.Level
	if level.UnmarshalText([]byte(value)) != nil {
		return fmt.Errorf("want debug, info, warn or error")
	}
	return nil
}

func checkLogFormat(value string) error {
	if value != "text" && value != "json" {
		return fmt.Errorf("want text or json")
	}
	return nil
}

func checkPageToken(value string) error {
	if value != "" && len(value) < 16 {
		return fmt.Errorf("want 16 characters or more")
	}
	return nil
}

func checkHTTP(value string) error {
	if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("want a URL such as https://host/path")
	}
	return nil
}

func checkRatio(value string) error {
	if ratio, err := strconv.ParseFloat(value, 64); err != nil || !(ratio > 0 && ratio <= 1) {
		return fmt.Errorf("want a number above 0 and at most 1, such as 0.01")
	}
	return nil
}

func checkSecrets(value string) error {
	_, err := signerOf(value)
	return err
}

// signerOf signs by the secrets of the setting; nil: there are none.
func signerOf(value string) (*webcall.Signer, error) {
	if value == "" {
		return nil, nil
	}
	return webcall.NewSigner(strings.Split(value, ","))
}

const hidden = "xxxxx"

// WithoutPassword hides the passwords of a URL, or of several separated by commas.
func WithoutPassword(value string) string {
	parts := SplitURLs(value)
	for i, part := range parts {
		u, err := url.Parse(part)
		switch {
		case err != nil, u.Scheme == "":
			parts[i] = hidden + " (no URL)"
		case u.User != nil:
			if _, has := u.User.Password(); has {
				u.User = url.UserPassword(u.User.Username(), hidden)
			}
			fallthrough
		default:
			if q := u.Query(); hideSecrets(q) {
				u.RawQuery = q.Encode()
			}
			parts[i] = u.String()
		}
	}
	return strings.Join(parts, ",")
}

// secretWords are parts of the names of parameters whose values are not shown.
var secretWords = []string{"pass", "secret", "token"}

// hideSecrets hides the values of secret parameters, and tells whether there are any.
func hideSecrets(q url.Values) (found bool) {
	for name := range q {
		if slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(strings.ToLower(name), w) }) {
			q.Set(name, hidden)
			found = true
		}
	}
	return found
}

// HostOnly hides all but the host: the path of a webhook is often its password.
func HostOnly(value string) string {
	u, err := url.Parse(value)
	if err != nil {
		return hidden + " (no URL)"
	}
	if strings.Trim(u.Path, "/") == "" && u.RawQuery == "" {
		return WithoutPassword(value)
	}
	return u.Scheme + "://" + u.Host + "/" + hidden
}

// defaultMetrics is the default address of the metrics; if its port is taken,
// any free port is used.
const defaultMetrics = "127.0.0.1:9464"

// FlagDryRun is the flag of every command that can report what it would do.
const FlagDryRun = "dry-run"
