package cli_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store/storetest"
)

// composed is what a service of compose.yaml is run with.
type composed struct {
	Entrypoint  []string
	Command     []string
	Environment map[string]string
	Volumes     []string
}

func composedServices(t *testing.T) map[string]composed {
	t.Helper()
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var named struct {
		Services struct{ Setup, Fleet, Worker composed }
	}
	if err := yaml.Unmarshal(text, &named); err != nil {
		t.Fatal(err)
	}
	return map[string]composed{"setup": named.Services.Setup, "fleet": named.Services.Fleet, "worker": named.Services.Worker}
}

// on is the service's environment with private servers in the place of those of compose.yaml, and a folder in that of
// its volumes. Like the images' own, the administrator is a superuser of PostgreSQL, with the password "composerp".
func (c composed) on(servers *local.Servers, dir string) []string {
	at := map[string]string{"COMPOSERP_DATABASE_URL": servers.DatabaseURL, "COMPOSERP_AMQP_URL": servers.AMQPURL, "COMPOSERP_MANAGEMENT_URL": servers.ManagementURL}
	env := cleanEnv()
	for name, value := range c.Environment {
		switch {
		case at[name] != "":
			value = at[name]
		case name == "COMPOSERP_METRICS_ADDR":
			value = "0.0.0.0:0"
		}
		env = append(env, name+"="+strings.ReplaceAll(value, "/etc/composerp", dir))
	}
	return env
}

// The commands of compose.yaml, in its order: setup makes users for the parts of the fleet, and the fleet runs as them.
func fleetOfComposeIsNoAdministrator(t *testing.T, servers *local.Servers) {
	super, err := servers.Superuser()
	storetest.Must(t, err)
	defer super.Close()
	_, err = super.ExecContext(t.Context(), `ALTER ROLE composerp SUPERUSER`)
	storetest.Must(t, err)

	services, dir := composedServices(t), t.TempDir()
	for _, volume := range []string{"setup", "fleet"} {
		storetest.Must(t, os.Mkdir(filepath.Join(dir, volume), 0o700))
	}
	setUp := func() string {
		t.Helper()
		path, err := program()
		storetest.Must(t, err)
		setup := services["setup"]
		if !slices.Equal(slices.Concat(setup.Entrypoint, setup.Command), []string{"sh", "/usr/local/bin/composerp-setup", "/etc/composerp"}) {
			t.Fatalf("setup runs %q %q", setup.Entrypoint, setup.Command)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "../deploy/compose-setup.sh", dir)
		var said bytes.Buffer
		cmd.Env, cmd.Stdout, cmd.Stderr = append(setup.on(servers, dir), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH")), &said, &said
		if err := cmd.Run(); err != nil {
			t.Fatalf("setup: %v\n%s", err, &said)
		}
		return said.String()
	}
	setUp()
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		storetest.Must(t, err)
		return string(text)
	}
	before, token := read("fleet/fleet.secrets"), strings.TrimSpace(read("fleet/page.token"))
	if strings.Contains(before, "MIGRATOR") || strings.Contains(before, "PUBLISHER") || !strings.Contains(before, "DATABASE_URL_READER=") || len(token) < 32 {
		t.Errorf("the fleet has the token %q and the secrets\n%s", token, before)
	}

	for _, name := range []string{"fleet", "worker"} {
		for variable := range services[name].Environment {
			if strings.HasSuffix(variable, "_URL") {
				t.Errorf("the service %s has %s in its environment: its URLs are those of the file of secrets", name, variable)
			}
		}
		if !slices.Contains(services[name].Volumes, "fleet-secrets:/etc/composerp/fleet:ro") || strings.Contains(strings.Join(services[name].Volumes, " "), "setup") {
			t.Errorf("the service %s mounts %q", name, services[name].Volumes)
		}
	}
	h := &environment{T: t, dir: t.TempDir(), env: services["fleet"].on(servers, dir)}
	f := h.up()
	wantRoles(t, servers.DatabaseURL, servers.ManagementURL)
	wantClosedPage(t, f.log.String(), token)
	h.ok("publish", "SALE_COMPLETED", "--data", `{"saleId":"S1","itemId":"85123A","locationId":"UK-WH","quantity":1,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}`)
	if r := h.ok("audit"); !strings.Contains(r.out, "PROVEN") {
		t.Errorf("the audit says %s", r.out)
	}
	if r := h.run("epoch", "begin"); r.code != 78 || !strings.Contains(r.errors, "DATABASE_URL_MIGRATOR") {
		t.Errorf("the fleet begins an epoch: exit %d, %s", r.code, r.errors)
	}

	// Another start of compose, and an upgrade by which a worker was new: what is there stays, and what runs goes on.
	storetest.Must(t, os.WriteFile(filepath.Join(dir, "setup/fleet.secrets"),
		slices.Concat(bytes.Join(slices.DeleteFunc(bytes.SplitAfter([]byte(read("setup/fleet.secrets")), []byte("\n")), func(line []byte) bool {
			return bytes.HasPrefix(line, []byte("AMQP_URL_WORKER_LOTS="))
		}), nil)), 0o600))
	if said := setUp(); !strings.Contains(said, "1 URLs more: AMQP_URL_WORKER_LOTS") {
		t.Errorf("setup says of a new worker\n%s", said)
	}
	after := read("fleet/fleet.secrets")
	for line := range strings.Lines(before) {
		if kept := strings.Contains(after, line); kept == strings.HasPrefix(line, "AMQP_URL_WORKER_LOTS=") {
			t.Errorf("after a second start: %q is kept: %t", strings.SplitN(line, "=", 2)[0], kept)
		}
	}
	if strings.TrimSpace(read("fleet/page.token")) != token {
		t.Error("a second start makes another token of the page")
	}
	f.stop(t)
	if strings.Contains(f.log.String(), "denied") {
		t.Errorf("a part of the fleet was refused something:\n%s", f.log)
	}
}

// wantClosedPage expects the page of a fleet to want a token, and the metrics to want none.
func wantClosedPage(t *testing.T, said, token string) {
	t.Helper()
	_, rest, found := strings.Cut(said, "http://[::]:")
	port, _, _ := strings.Cut(rest, "/")
	if !found {
		t.Fatalf("up says no address of the page:\n%s", said)
	}
	client := &http.Client{Timeout: localtest.Deadline(10 * time.Second)}
	get := func(path, bearer string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, nil)
		storetest.Must(t, err)
		if bearer != "" {
			request.Header.Set("Authorization", "Bearer "+bearer)
		}
		answer, err := client.Do(request)
		storetest.Must(t, err)
		storetest.Must(t, answer.Body.Close())
		return answer.StatusCode
	}
	for _, c := range []struct {
		path, bearer string
		want         int
	}{{"/", "", http.StatusUnauthorized}, {"/", "wrong", http.StatusUnauthorized}, {"/", token, http.StatusOK}, {"/metrics", "", http.StatusOK}} {
		if got := get(c.path, c.bearer); got != c.want {
			t.Errorf("%s with the token %q: %d, want %d", c.path, c.bearer, got, c.want)
		}
	}
}
