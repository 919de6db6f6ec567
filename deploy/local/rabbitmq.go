package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	brokerName = "RabbitMQ"
	epmdName   = "Erlang's port mapper"
	nodeHost   = "localhost"
)

// broker is one RabbitMQ node and the Erlang port mapper it registers with. The port mapper is started first, as a
// child of ours on a port of its own: RabbitMQ would otherwise start one as a daemon that outlives it, or register with
// the system's.
type broker struct {
	instance
	installed brokerPrograms
	epmd      *child
}

func (b *broker) start(ctx context.Context, st state) error {
	if err := b.stayed(); err != nil {
		return err
	}
	if err := b.configure(st); err != nil {
		return err
	}
	if b.cfg.Node.First == nil {
		if err := b.launchEpmd(ctx, st.Ports); err != nil {
			return err
		}
	}
	return b.launch(ctx, st)
}

// launch starts the node, which finds its files and the port mapper ready.
func (b *broker) launch(ctx context.Context, st state) error {
	began := time.Now()
	server, err := run(command{
		name: brokerName, account: b.account, dir: workingDir, env: b.environment(st.Ports),
		path: b.installed.server, logFile: filepath.Join(b.cfg.Dir, "rabbitmq.log"), pidFile: b.serverPid(), orderly: syscall.SIGTERM,
	})
	if err != nil {
		return err
	}
	b.server = server
	if err := b.awaitListener(ctx, st); err != nil {
		return err
	}
	b.log.Info("started", "pid", server.pid(), "port", st.Ports.AMQP, "management", st.Ports.Management,
		"took", time.Since(began).Round(time.Millisecond))
	return nil
}

// launchEpmd starts the port mapper and waits until it listens, for RabbitMQ looks for it early.
func (b *broker) launchEpmd(ctx context.Context, at ports) error {
	port := strconv.Itoa(at.Epmd)
	epmd, err := run(command{
		name: epmdName, account: b.account, dir: workingDir, env: []string{"PATH=" + b.installed.path, "HOME=" + b.path},
		path: b.installed.epmd, args: []string{"-address", loopback, "-port", port},
		logFile: filepath.Join(b.cfg.Dir, "epmd.log"), pidFile: b.epmdPid(), orderly: syscall.SIGTERM,
	})
	if err != nil {
		return err
	}
	b.epmd = epmd
	return await(ctx, epmd, func(ctx context.Context) error { return dial(ctx, at.Epmd) })
}

// awaitListener waits for the AMQP listener, which RabbitMQ opens last, and then asks the management interface, as the
// user that all clients use, whether the node says so too: that needs the user, the virtual host's permissions and
// the plugin.
func (b *broker) awaitListener(ctx context.Context, st state) error {
	if err := await(ctx, b.server, func(ctx context.Context) error { return dial(ctx, st.Ports.AMQP) }); err != nil {
		return err
	}
	base := managementURL(st)
	for _, path := range []string{"/api/health/checks/port-listener/" + strconv.Itoa(st.Ports.AMQP), "/api/vhosts/" + ourName} {
		if err := await(ctx, b.server, func(ctx context.Context) error { return get(ctx, base+path, new(any)) }); err != nil {
			return err
		}
	}
	return nil
}

func dial(ctx context.Context, port int) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// management keeps no connection: the broker would wait for its end when it is stopped.
var management = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// get decodes the answer of a node's management interface into result.
func get(ctx context.Context, address string, result any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := management.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", request.URL.Redacted(), response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(result); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", request.URL.Redacted(), err)
	}
	return nil
}

// configure writes the node's files anew each time, so that an old directory gets today's settings. User and virtual
// host are made by the node when its database is empty.
func (b *broker) configure(st state) error {
	plugins := "rabbitmq_management,rabbitmq_prometheus,rabbitmq_shovel,rabbitmq_shovel_management"
	encryption := ""
	if b.cfg.TLS != nil {
		plugins += ",rabbitmq_auth_mechanism_ssl"
		encryption = b.cfg.TLS.rabbitmq(b.path, st.Ports)
	}
	files := map[string]string{
		"rabbitmq.conf":   configuration(st) + b.cfg.Node.configuration() + encryption,
		"advanced.config": advancedConfiguration,
		"enabled_plugins": "[" + plugins + "].\n",
	}
	if b.cfg.Node.Number > 0 {
		files[".erlang.cookie"] = st.Password // the nodes trust each other by it
	}
	for name, content := range files {
		path := filepath.Join(b.path, name)
		if err := writeDurably(path, []byte(content)); err != nil {
			return fmt.Errorf("configuring RabbitMQ: %w", err)
		}
		if err := b.account.give(path); err != nil {
			return err
		}
	}
	return nil
}

// stayed refuses data that was made under another path. RabbitMQ finds a quorum queue's files by the whole path that
// they had when the queue was made: after a move it starts, and none of its queues does.
func (b *broker) stayed() error {
	path, err := filepath.EvalSymlinks(b.path)
	if err != nil {
		return fmt.Errorf("finding RabbitMQ's data: %w", err)
	}
	record := filepath.Join(path, "path")
	made, err := os.ReadFile(record)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := writeDurably(record, []byte(path)); err != nil {
			return fmt.Errorf("noting where RabbitMQ's data is: %w", err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("reading where RabbitMQ's data was made: %w", err)
	case string(made) != path:
		return fmt.Errorf("RabbitMQ's data in %s was made in %s, and works nowhere else: move it back; or delete it, and what the log has is published again", path, made)
	}
	return nil
}

// configuration is the node's rabbitmq.conf. A message may be a little over the 1 MiB that an event may have, so that
// an external publisher's event that is just too long gets an answer that says so, and not a closed channel.
func configuration(st state) string {
	lines := []string{
		fmt.Sprintf("listeners.tcp.1 = %s:%d", loopback, st.Ports.AMQP),
		"management.tcp.ip = " + loopback,
		fmt.Sprintf("management.tcp.port = %d", st.Ports.Management),
		"prometheus.tcp.ip = " + loopback,
		fmt.Sprintf("prometheus.tcp.port = %d", st.Ports.Prometheus),
		"default_user = " + ourName,
		"default_pass = " + st.Password,
		"default_vhost = " + ourName,
		"default_user_tags.administrator = true",
		fmt.Sprintf("max_message_size = %d", 1<<20+64<<10),
		"disk_free_limit.absolute = 200MB",
		"collect_statistics_interval = 1000",
		"log.console = true",
		"log.console.level = warning",
	}
	return strings.Join(lines, "\n") + "\n"
}

// advancedConfiguration has quorum queues tell their depth every second and not every five: audit and scaling look at
// it.
const advancedConfiguration = "[{rabbit, [{quorum_tick_interval, 1000}]}].\n"

// environment is the whole environment of the node. Nothing of ours is inherited: a stray RABBITMQ_ or ERL_ variable
// would change the node.
func (b *broker) environment(at ports) []string {
	in := func(name string) string { return filepath.Join(b.path, name) }
	return []string{
		"PATH=" + b.installed.path,
		"HOME=" + b.path, // The Erlang cookie's place.
		"LANG=C.UTF-8",
		"ERL_EPMD_ADDRESS=" + loopback,
		"ERL_EPMD_PORT=" + strconv.Itoa(at.Epmd),
		"ERL_CRASH_DUMP_SECONDS=0",
		"RABBITMQ_NODENAME=" + b.cfg.Node.Address(),
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(at.AMQP),
		"RABBITMQ_NODE_IP_ADDRESS=" + loopback,
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(at.Distribution),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + in("advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + in("mnesia"),
		"RABBITMQ_LOG_BASE=" + in("log"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + in("generated"),
		"RABBITMQ_SCHEMA_DIR=" + in("schema"),
		"RABBITMQ_FEATURE_FLAGS_FILE=" + in("feature_flags"),
		"RABBITMQ_PID_FILE=" + in("node.pid"),
		"RABBITMQ_LOGS=-",
		// One process without a shell above it: what we signal is the node itself.
		"RUNNING_UNDER_SYSTEMD=true",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} " + markFlag + " " + b.mark(),
	}
}

// markFlag is an argument that Erlang ignores. With the mark behind it, it tells in /proc whose node a process is.
const markFlag = "-composerp"

// mark stands for the data directory. The path itself could hold spaces, at which the start script splits.
func (b *broker) mark() string {
	sum := sha256.Sum256([]byte(b.path))
	return hex.EncodeToString(sum[:8])
}

func (b *broker) serverPid() string { return filepath.Join(b.path, "server.pid") }
func (b *broker) epmdPid() string   { return filepath.Join(b.path, "epmd.pid") }

// stopLeftover ends the node and the port mapper that an owner killed with SIGKILL has left here.
func (b *broker) stopLeftover(ctx context.Context) error {
	if b.path == "" {
		return nil
	}
	err := stopLeftover(ctx, b.cfg, brokerName, b.serverPid(), syscall.SIGTERM, func(args []string) bool {
		return follows(args, markFlag, b.mark())
	})
	if err != nil {
		return err
	}
	st, err := loadState(b.cfg.Dir)
	if err != nil {
		return err
	}
	return stopLeftover(ctx, b.cfg, epmdName, b.epmdPid(), syscall.SIGTERM, func(args []string) bool {
		return filepath.Base(args[0]) == "epmd" && follows(args, "-port", strconv.Itoa(st.Ports.Epmd))
	})
}

func managementURL(st state) string {
	return (&url.URL{Scheme: "http", User: url.UserPassword(ourName, st.Password), Host: fmt.Sprintf("%s:%d", loopback, st.Ports.Management)}).String()
}

// endpoints are the addresses of what cfg starts.
func (st state) endpoints(cfg Config) Endpoints {
	var at Endpoints
	if !cfg.BrokerOnly {
		at.DatabaseURL = databaseURL(ourName, st.Password, st.Ports.Postgres, ourName)
	}
	if !cfg.PostgresOnly {
		amqp := url.URL{Scheme: "amqp", User: url.UserPassword(ourName, st.Password), Host: fmt.Sprintf("%s:%d", loopback, st.Ports.AMQP), Path: ourName}
		at.AMQPURL, at.ManagementURL = amqp.String(), managementURL(st)
		at.PrometheusURL = fmt.Sprintf("http://%s:%d/metrics", loopback, st.Ports.Prometheus)
	}
	return at
}
