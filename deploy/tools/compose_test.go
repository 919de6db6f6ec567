package tools

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// load reads ../../compose.yaml as Docker Compose does, with nothing set in the environment.
func load(t *testing.T) *types.Project {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, "compose.yaml")}},
		Environment: types.Mapping{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestServices(t *testing.T) {
	want := []string{"fleet", "postgres", "rabbitmq", "setup", "worker"}
	if got := load(t).ServiceNames(); !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
}

func TestImagesArePinnedToAMinorVersion(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z]+:\d+\.\d+(-management)?$`)
	project := load(t)
	for name, service := range project.Services {
		if service.Build != nil {
			dockerfile := filepath.Join(service.Build.Context, service.Build.Dockerfile)
			if _, err := os.Stat(dockerfile); err != nil {
				t.Errorf("service %s is built from a file that is not there: %v", name, err)
			}
			continue
		}
		if !pinned.MatchString(service.Image) {
			t.Errorf("service %s: image %q is not pinned to a minor version", name, service.Image)
		}
	}
	for service, image := range map[string]string{"rabbitmq": "rabbitmq:4.0-management", "postgres": "postgres:17.12"} {
		if got := project.Services[service].Image; got != image {
			t.Errorf("service %s: image %q, want %q", service, got, image)
		}
	}
}

func TestBaseImagesArePinned(t *testing.T) {
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`^FROM [a-z]+:\d[\w.-]*( AS \w+)?$`)
	var last string
	for line := range strings.Lines(string(dockerfile)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "FROM") && !pinned.MatchString(line) {
			t.Errorf("%q is not pinned", line)
		}
		if strings.HasPrefix(line, "USER") {
			last = line
		}
	}
	if last == "" || strings.HasPrefix(last, "USER 0") || strings.HasPrefix(last, "USER root") {
		t.Errorf("the image runs as root: %q", last)
	}
}

func TestPortsAreOnLoopbackOnly(t *testing.T) {
	published := 0
	for name, service := range load(t).Services {
		for _, port := range service.Ports {
			published++
			if port.HostIP != "127.0.0.1" {
				t.Errorf("service %s publishes %d on %q, want 127.0.0.1", name, port.Target, port.HostIP)
			}
		}
	}
	if published == 0 {
		t.Error("no port is published: the management UI cannot be reached")
	}
}

func TestEveryLongRunningServiceHasAHealthCheck(t *testing.T) {
	for name, service := range load(t).Services {
		if service.Restart == "" {
			continue // One that ends by itself.
		}
		if service.HealthCheck == nil || service.HealthCheck.Disable || len(service.HealthCheck.Test) < 2 {
			t.Errorf("service %s has no health check", name)
		}
	}
}

func TestDependencies(t *testing.T) {
	const healthy, done = types.ServiceConditionHealthy, types.ServiceConditionCompletedSuccessfully
	project := load(t)
	for name, want := range map[string]map[string]string{
		"setup":  {"postgres": healthy, "rabbitmq": healthy},
		"fleet":  {"postgres": healthy, "rabbitmq": healthy, "setup": done},
		"worker": {"postgres": healthy, "rabbitmq": healthy, "setup": done},
	} {
		for on, condition := range want {
			if got := project.Services[name].DependsOn[on].Condition; got != condition {
				t.Errorf("service %s waits for %s to be %q, want %q", name, on, got, condition)
			}
		}
	}
}

// TestServersAreNamed holds the administrator's URLs to the servers that compose starts: host, port and user.
func TestServersAreNamed(t *testing.T) {
	setup := load(t).Services["setup"]
	for variable, address := range map[string]string{
		"COMPOSERP_DATABASE_URL":   "postgres://composerp:composerp@postgres:5432/composerp?sslmode=disable",
		"COMPOSERP_AMQP_URL":       "amqp://composerp:composerp@rabbitmq:5672/composerp",
		"COMPOSERP_MANAGEMENT_URL": "http://composerp:composerp@rabbitmq:15672",
	} {
		if got := setup.Environment[variable]; got == nil || *got != address {
			t.Errorf("setup: %s is %v, want %s", variable, got, address)
		}
	}
}

// TestTheFleetKnowsNoAdministrator holds the services that run for long to the file that setup writes: a process of the
// fleet has no password in its environment, and no volume that has the owner's or the tills' URLs.
func TestTheFleetKnowsNoAdministrator(t *testing.T) {
	project := load(t)
	for _, name := range []string{"fleet", "worker"} {
		service := project.Services[name]
		for variable, value := range service.Environment {
			if value != nil && strings.Contains(*value, "://") {
				t.Errorf("service %s has a URL in %s", name, variable)
			}
		}
		mounted := false
		for _, volume := range service.Volumes {
			if volume.Source == "setup-secrets" {
				t.Errorf("service %s mounts the secrets of setup", name)
			}
			mounted = mounted || volume.Source == "fleet-secrets" && volume.Target == "/etc/composerp/fleet" && volume.ReadOnly
		}
		for _, variable := range []string{"COMPOSERP_SECRETS", "COMPOSERP_PAGE_TOKEN_FILE"} {
			if value := service.Environment[variable]; !mounted || value == nil || !strings.HasPrefix(*value, "/etc/composerp/fleet/") {
				t.Errorf("service %s: %s is %v, want a file of the volume fleet-secrets, which is mounted: %t", name, variable, value, mounted)
			}
		}
	}
}

// TestWorkersScale holds the service worker to what `docker compose up --scale worker=3` needs: nothing of it is the
// only one of its kind on the machine, and each of them runs every worker.
func TestWorkersScale(t *testing.T) {
	worker := load(t).Services["worker"]
	if len(worker.Ports) > 0 || worker.ContainerName != "" || worker.Hostname != "" || slices.ContainsFunc(worker.Volumes, func(v types.ServiceVolumeConfig) bool { return !v.ReadOnly }) {
		t.Errorf("ports %v, container name %q, host name %q, volumes %v: a second worker could not start, or would share them",
			worker.Ports, worker.ContainerName, worker.Hostname, worker.Volumes)
	}
	for name, network := range worker.Networks {
		if network != nil && (network.Ipv4Address != "" || network.Ipv6Address != "" || network.MacAddress != "") {
			t.Errorf("network %s: a fixed address", name)
		}
	}
	if worker.Scale == nil || *worker.Scale != 0 {
		t.Errorf("without --scale there are to be no workers beside the fleet")
	}
	if want := 35 * time.Second; worker.StopGracePeriod == nil || time.Duration(*worker.StopGracePeriod) != want {
		t.Errorf("workers have %v to end, want %s", worker.StopGracePeriod, want)
	}
	if got, want := strings.Join(worker.Command, " "), "worker run all"; got != want {
		t.Errorf("its command is %s, want %s", got, want)
	}
}

func TestMountedFilesAreThere(t *testing.T) {
	project := load(t)
	for name, service := range project.Services {
		for _, volume := range service.Volumes {
			switch volume.Type {
			case types.VolumeTypeBind:
				if _, err := os.Stat(volume.Source); err != nil {
					t.Errorf("service %s mounts a file that is not there: %v", name, err)
				}
			case types.VolumeTypeVolume:
				if _, ok := project.Volumes[volume.Source]; !ok {
					t.Errorf("service %s mounts an unknown volume %s", name, volume.Source)
				}
			}
		}
	}
}
