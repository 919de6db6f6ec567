package cli

import (
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// # Settings
//
// The table settings is all that Composerp can be told about the world around
// it: a line there is a flag, an environment variable (and the same with _FILE
// for a file that holds the value), a key of the configuration file, and a line
// of `doctor --show-config`. What a command is asked to do (--dry-run, --item)
// is no setting, and its flag stands with the command.
//
// A setting comes from the first of these that has it, and each is asked only
// when the setting is used: the flag, the environment, the file that the
// environment names, the configuration file, a running `up` (for the servers),
// the default. An empty value is none.

// The settings' names, which are also the names of their flags.
const (
	flagConfig       = "config"
	flagDir          = "dir"
	flagDatabase     = "database-url"
	flagAMQP         = "amqp-url"
	flagManagement   = "management-url"
	flagTenant       = "tenant"
	flagSlots        = "slots"
	flagMetrics      = "metrics-addr"
	flagNotification = "notification-url"
	flagAlert        = "alert-url"
	flagAlertmanager = "alertmanager-url"
	flagLogLevel     = "log-level"
	flagLogFormat    = "log-format"
)

// settings are in the order in which they are shown.
var settings = []setting{
	{name: flagConfig, notInFile: true, usage: "the configuration file, YAML; composerp.yaml of this directory when it is there", file: true},
	{name: flagDatabase, show: withoutPassword, usage: "PostgreSQL, postgres://user:password@host:port/database", server: true},
	{name: flagAMQP, form: asList, show: withoutPassword, usage: "RabbitMQ, amqp://user:password@host:port/vhost; nodes of a cluster separated by commas", server: true},
	{name: flagManagement, show: withoutPassword, usage: "RabbitMQ's management API, http://user:password@host:15672", server: true},
	{name: flagDir, standard: ".composerp", usage: "where up keeps its servers' data and says where they are", file: true},
	{name: flagTenant, standard: "default", usage: "the tenant it belongs to"},
	{name: flagSlots, form: asSlots, check: checkSlots, usage: "consumers a worker, N for all or worker=N,worker=N"},
	{name: flagMetrics, standard: defaultMetrics, usage: "where Prometheus finds the metrics; another free port when the default is taken"},
	{name: flagNotification, check: checkHTTP, show: hostOnly, usage: "who hears of orders, by a POST of JSON; without it they are told to the log and the table notice"},
	{name: flagAlert, check: checkHTTP, show: hostOnly, usage: "who hears of low stock and expiring lots, by a POST of JSON; without it they are told to the log and the table notice"},
	{name: flagAlertmanager, check: checkHTTP, show: withoutPassword, usage: "an Alertmanager that hears of low stock and expiring lots too, its base URL, http://host:9093"},
	{name: flagLogLevel, standard: "warn", check: checkLevel, usage: "debug, info, warn or error"},
	{name: flagLogFormat, standard: "text", check: checkLogFormat, usage: "text, or json: a line each to stderr"},
}

// setting is one line of the table. Its zero value is a text that may be shown.
type setting struct {
	name      string
	standard  string // the default
	usage     string
	form      form                      // how the configuration file may write it
	check     func(value string) error  // says what a value must be
	show      func(value string) string // takes out what is secret
	server    bool                      // a running `up` says it
	file      bool                      // it is a path: in the configuration file it is relative to that file
	notInFile bool
}

// key is the setting's name in the configuration file.
func (s setting) key() string { return strings.ReplaceAll(s.name, "-", "_") }

// variable is the setting's name in the environment.
func (s setting) variable() string { return "COMPOSERP_" + strings.ToUpper(s.key()) }

// settingCalled gives a setting of the table; to ask for another is a mistake in this package.
func settingCalled(name string) setting {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
	if i < 0 {
		panic("cli: there is no setting " + name)
	}
	return settings[i]
}

// settingFlag is the flag of a setting. It does not read the environment
// itself, as its embedded flag would: see configuration.
type settingFlag struct {
	*cli.StringFlag
	setting setting
}

// flagOf makes a setting's flag, for the Flags of a command.
func flagOf(name string) settingFlag {
	s := settingCalled(name)
	return settingFlag{&cli.StringFlag{Name: s.name, Value: s.standard, Usage: s.usage, EnvVars: []string{s.variable()}}, s}
}

// settingFlags are the flags of all settings.
func settingFlags() []cli.Flag {
	flags := make([]cli.Flag, len(settings))
	for i, s := range settings {
		flags[i] = flagOf(s.name)
	}
	return flags
}

// Apply makes the flag known to the flag package.
func (f settingFlag) Apply(set *flag.FlagSet) error {
	bare := *f.StringFlag
	bare.EnvVars = nil
	return bare.Apply(set)
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

func checkHTTP(value string) error {
	if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("want a URL such as https://host/path")
	}
	return nil
}

const hidden = "xxxxx"

// withoutPassword hides the passwords of a URL, or of several separated by commas.
func withoutPassword(value string) string {
	parts := strings.Split(value, ",")
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
			if q := u.Query(); q.Has("password") {
				q.Set("password", hidden)
				u.RawQuery = q.Encode()
			}
			parts[i] = u.String()
		}
	}
	return strings.Join(parts, ",")
}

// hostOnly hides all but the host: the path of a webhook is often its password.
func hostOnly(value string) string {
	u, err := url.Parse(value)
	if err != nil {
		return hidden + " (no URL)"
	}
	if strings.Trim(u.Path, "/") == "" && u.RawQuery == "" {
		return withoutPassword(value)
	}
	return u.Scheme + "://" + u.Host + "/" + hidden
}
