package local

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestLogReason has what PostgreSQL 15, RabbitMQ 3.10 and RabbitMQ 4.0 wrote when they did not start.
func TestLogReason(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		log, want    string
		port, tooOld bool
	}{
		"postgres, port taken": {
			log: `2026-11-23 22:16:06.342 UTC LOG:  starting PostgreSQL 15.18
2026-11-23 22:16:06.343 UTC LOG:  could not bind IPv4 address "127.0.0.1": Address already in use
2026-11-23 22:16:06.343 UTC HINT:  Is another postmaster already running on port 5432? If not, wait a few seconds and retry.
2026-11-23 22:16:06.344 UTC FATAL:  could not create any TCP/IP sockets
2026-11-23 22:16:06.345 UTC LOG:  database system is shut down`,
			want: `LOG:  could not bind IPv4 address "127.0.0.1": Address already in use`,
			port: true,
		},
		"postgres, disk full": {
			log: `2026-11-23 22:16:06.342 UTC LOG:  starting PostgreSQL 15.18
2026-11-23 22:16:06.343 UTC FATAL:  could not write lock file "postmaster.pid": No space left on device
2026-11-23 22:16:06.345 UTC LOG:  database system is shut down`,
			want: `FATAL:  could not write lock file "postmaster.pid": No space left on device`,
		},
		"rabbitmq, AMQP port taken": {
			log: `  Starting broker...2026-11-23 22:44:45.545758+00:00 [error] <0.561.0> Failed to start Ranch listener {acceptor,{127,0,0,1},29001} in ranch_tcp:listen(#{connection_type => supervisor,handshake_timeout => 5000,max_connections => infinity,num_acceptors => 10,num_conns_sups => 1,socket_opts => [{cacerts,'...'},{key,'...'},{cert,'...'},{ip,{127,0,0,1}},{port,29001},inet,{backlog,128},{nodelay,true},{linger,{true,0}},{exit_on_close,false}]}) for reason eaddrinuse (address already in use)
2026-11-23 22:44:45.545758+00:00 [error] <0.561.0> `,
			want: "Failed to start Ranch listener {acceptor,{127,0,0,1},29001}",
			port: true,
		},
		"rabbitmq, distribution port taken": {
			log: `2026-11-23 22:45:16.143379+00:00 [error] <0.132.0> BOOT FAILED
2026-11-23 22:45:16.143379+00:00 [error] <0.132.0> ERROR: could not bind to distribution port 29004 on host localhost. It could be in use by another process or cannot be bound to (e.g. due to a security policy)`,
			want: "ERROR: could not bind to distribution port 29004 on host localhost.",
			port: true,
		},
		"rabbitmq, name taken": {
			log: `2026-11-23 22:45:16.143379+00:00 [error] <0.132.0> BOOT FAILED
2026-11-23 22:45:16.143379+00:00 [error] <0.132.0> ===========
2026-11-23 22:45:16.143379+00:00 [error] <0.132.0> ERROR: node with name "composerp" is already running on host "localhost"`,
			want: `ERROR: node with name "composerp" is already running`,
		},
		"rabbitmq 4.0, data of 3.10": {
			log: `2026-11-30 05:44:23.936891+00:00 [error] <0.216.0> Feature flags: ` + "`stream_single_active_consumer`" + `: required feature flag not enabled! It must be enabled before upgrading RabbitMQ.
2026-11-30 05:44:23.943827+00:00 [error] <0.216.0> Failed to initialize feature flags registry: {disabled_required_feature_flag,
2026-11-30 05:44:23.943827+00:00 [error] <0.216.0>                                               stream_single_active_consumer}

BOOT FAILED
===========
Error during startup: {error,failed_to_initialize_feature_flags_registry}`,
			want:   "Feature flags: `stream_single_active_consumer`: required feature flag not enabled!",
			tooOld: true,
		},
		"something else": {log: "first\nlast\n\n", want: "last"},
		"nothing":        {log: "\n", want: "it wrote nothing to its log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log")
			const before = "2026-11-22 10:00:00.000 UTC FATAL:  an earlier run's trouble\n"
			if err := os.WriteFile(path, []byte(before+test.log), 0o600); err != nil {
				t.Fatal(err)
			}
			got := logReason(path, int64(len(before)))
			if !strings.HasPrefix(got, test.want) || strings.Contains(got, "\n") || len(got) > 320 {
				t.Errorf("reason %q, want one line that begins with %q", got, test.want)
			}
			if portTaken.MatchString(got) != test.port {
				t.Errorf("%q: told as a taken port: %v, want %v", got, !test.port, test.port)
			}
			if tooOld.MatchString(got) != test.tooOld {
				t.Errorf("%q: told as data of an old version: %v, want %v", got, !test.tooOld, test.tooOld)
			}
		})
	}
}

func TestPassedOnPidFileOfAStranger(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := postgres{instance: instance{home: home{path: dir}}}
	if err := os.Mkdir(p.data(), 0o700); err != nil {
		t.Fatal(err)
	}
	// Our parent lives and is no PostgreSQL.
	rest := "\n" + p.data() + "\n1764000000\n5432\n\n127.0.0.1\n  5432001    131072\nready   \n"
	if err := os.WriteFile(p.pidFile(), []byte(strconv.Itoa(os.Getppid())+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.stopLeftover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.disownPid(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(p.pidFile())
	if err != nil || string(raw) != "999999999"+rest {
		t.Errorf("pid file %q, %v: want a pid that cannot exist and the other lines as they were", raw, err)
	}
}
