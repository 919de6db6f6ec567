package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// A pod has the drain's time and 15 s more before it is killed.
func TestPodsMayFinishWhatTheyHave(t *testing.T) {
	want := drainSeconds(t) + 15
	each(t, func(t *testing.T, m *manifests) {
		for _, d := range m.deployments {
			if got := d.Spec.Template.Spec.TerminationGracePeriodSeconds; got == nil || *got != want {
				t.Errorf("%s: terminationGracePeriodSeconds %v, want %d", d.Name, got, want)
			}
		}
	})
}

func TestProbesAskWhatIsServed(t *testing.T) {
	served := source(t, "cli/fleet/metrics.go")
	each(t, func(t *testing.T, m *manifests) {
		for _, d := range m.deployments {
			c := d.Spec.Template.Spec.Containers[0]
			for path, probes := range map[string][]*core.Probe{"/livez": {c.LivenessProbe, c.StartupProbe}, "/readyz": {c.ReadinessProbe}} {
				for _, p := range probes {
					if p == nil || p.HTTPGet == nil || p.HTTPGet.Path != path || p.HTTPGet.Port.StrVal != "metrics" {
						t.Errorf("%s: want a probe that asks the port metrics for %s, got %+v", d.Name, path, p)
					}
				}
				if !strings.Contains(served, `"`+path+`"`) {
					t.Errorf("the program does not serve %s", path)
				}
			}
			port := fmt.Sprint(c.Ports[0].ContainerPort)
			if c.Ports[0].Name != "metrics" || value(c, "COMPOSERP_METRICS_ADDR") != "0.0.0.0:"+port || d.Spec.Template.Annotations["prometheus.io/port"] != port {
				t.Errorf("%s: the metrics' port is not the same everywhere", d.Name)
			}
		}
	})
}

// value is that of a variable of the environment.
func value(c core.Container, name string) string {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// A selector that fits two groups has one of them take the other's pods.
func TestSelectorsFitOneGroup(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		fits := func(owner string, s *meta.LabelSelector) []string {
			t.Helper()
			selector, err := meta.LabelSelectorAsSelector(s)
			if err != nil {
				t.Fatalf("%s: %v", owner, err)
			}
			var names []string
			for name, pod := range m.pods() {
				if selector.Matches(labels.Set(pod.Labels)) {
					names = append(names, name)
				}
			}
			return names
		}
		for _, d := range m.deployments {
			if got := fits(d.Name, d.Spec.Selector); !slices.Equal(got, []string{d.Name}) {
				t.Errorf("the selector of %s fits the pods of %v", d.Name, got)
			}
		}
		for _, b := range m.budgets {
			if got := fits(b.Name, b.Spec.Selector); !slices.Equal(got, []string{b.Name}) {
				t.Errorf("the disruption budget %s is of the pods of %v", b.Name, got)
			}
		}
	})
}

// Where a group has several pods, maintenance takes one at a time.
func TestEveryGroupHasADisruptionBudget(t *testing.T) {
	for _, overlay := range []string{"production", "keda"} {
		m := build(t, overlay)
		if len(m.budgets) != len(m.deployments) || len(m.deployments) == 0 {
			t.Errorf("overlay %s has %d disruption budgets for %d Deployments", overlay, len(m.budgets), len(m.deployments))
		}
		for _, b := range m.budgets {
			if n := b.Spec.MaxUnavailable; n == nil || n.IntValue() != 1 {
				t.Errorf("overlay %s: the disruption budget %s lets %v pods go at once", overlay, b.Name, n)
			}
		}
	}
}

func TestPodsHaveNoPrivileges(t *testing.T) {
	user, err := strconv.ParseInt(found(t, "deploy/Dockerfile", `(?m)^USER (\d+):`), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, m *manifests) {
		for name, pod := range m.pods() {
			if p := pod.Spec.SecurityContext; p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || *p.RunAsUser != user || p.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: its pods run as %+v, want user %d", name, p, user)
			}
			if mount := pod.Spec.AutomountServiceAccountToken; mount == nil || *mount {
				t.Errorf("%s: its pods have a token of the cluster's API", name)
			}
			for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
				s := c.SecurityContext
				if s == nil || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
					t.Errorf("%s: container %s has privileges: %+v", name, c.Name, s)
				}
				if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
					t.Errorf("%s: container %s has no resources", name, c.Name)
				}
			}
		}
	})
}

// The image is the one that the Dockerfile says how to build; an overlay of a user's names another.
func TestImagesAreTheDockerfiles(t *testing.T) {
	want := found(t, "deploy/Dockerfile", `docker build -f deploy/Dockerfile -t (\S+) `)
	each(t, func(t *testing.T, m *manifests) {
		for name, pod := range m.pods() {
			for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
				if c.Image != want {
					t.Errorf("%s: image %s, want %s", name, c.Image, want)
				}
			}
		}
	})
}

// The servers' URLs hold passwords: they come from a Secret, as a file that other users cannot read, and no manifest
// has one. The owner of the schema is in the Secret of the job alone.
func TestServersComeFromASecret(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		for name, pod := range m.pods() {
			c, want := pod.Spec.Containers[0], "composerp-fleet"
			if slices.ContainsFunc(m.jobs, func(j *batch.Job) bool { return j.Name == name }) {
				want = "composerp-setup"
			}
			for _, variable := range c.Env {
				if strings.Contains(variable.Name, "_URL") || strings.Contains(variable.Value, "://") {
					t.Errorf("%s: %s=%s: URLs are those of the file of secrets", name, variable.Name, variable.Value)
				}
			}
			i := slices.IndexFunc(pod.Spec.Volumes, func(v core.Volume) bool { return v.Secret != nil })
			if i < 0 || pod.Spec.Volumes[i].Secret.SecretName != want || *pod.Spec.Volumes[i].Secret.DefaultMode != 0o440 {
				t.Fatalf("%s: want the Secret %s with the mode 0440, got %+v", name, want, pod.Spec.Volumes)
			}
			mounted := slices.IndexFunc(c.VolumeMounts, func(v core.VolumeMount) bool { return v.Name == pod.Spec.Volumes[i].Name })
			if mounted < 0 || !c.VolumeMounts[mounted].ReadOnly || value(c, "COMPOSERP_SECRETS") != c.VolumeMounts[mounted].MountPath+"/fleet.secrets" {
				t.Errorf("%s: COMPOSERP_SECRETS is %q, want a file of the mounted Secret", name, value(c, "COMPOSERP_SECRETS"))
			}
			if page := value(c, "COMPOSERP_PAGE_TOKEN_FILE"); want == "composerp-fleet" && page != c.VolumeMounts[mounted].MountPath+"/page.token" {
				t.Errorf("%s: the page's token is %q, want a file of the Secret", name, page)
			}
		}
	})
}

// query is the number of pods for the slots that the leader wants for a group's workers.
func (g group) query() string {
	operator := "=~"
	if g.rest {
		operator = "!~"
	}
	return fmt.Sprintf(`ceil(sum(max by (queue) (composerp_pool_desired{queue%s"%s"})) / %d)`, operator, strings.Join(g.named, "|"), g.slots)
}

// queues are the names of a group's queues and of their lanes, as RabbitMQ's regular expressions write them; "unrouted"
// is the queue of no worker.
func (g group) queues() string {
	worker := "(" + strings.Join(g.named, "|") + ")"
	if g.rest {
		worker = "(?!(" + strings.Join(g.named, "|") + `|unrouted)(\.|$))[^.]+`
	}
	return `^composerp\.` + worker + `(\.lane\.[^.]+)?$`
}

// KEDA provides the pods for the slots that the fleet's leader wants, and counts messages only while that is not known.
func TestTheLeaderDecidesAlone(t *testing.T) {
	m := build(t, "keda")
	groups := m.groups(t)
	if len(m.scaled) != len(groups) || len(m.credentials) != 1 {
		t.Fatalf("%d ScaledObjects for %d groups and %d TriggerAuthentications", len(m.scaled), len(groups), len(m.credentials))
	}
	for _, d := range m.deployments {
		if _, scaled := groupOf(t, d.Name, d.Spec.Template.Spec.Containers[0]); scaled && d.Spec.Replicas != nil {
			t.Errorf("%s has %d replicas in its manifest, and KEDA sets them", d.Name, *d.Spec.Replicas)
		}
	}
	for _, s := range m.scaled {
		i := slices.IndexFunc(groups, func(g group) bool { return g.name == s.Spec.ScaleTargetRef.Name })
		if i < 0 {
			t.Errorf("%s scales %s, which there is none of", s.Name, s.Spec.ScaleTargetRef.Name)
			continue
		}
		fleet, queues := s.Spec.Triggers[0], s.Spec.Triggers[1]
		if len(s.Spec.Triggers) != 2 || fleet.Name != "fleet" || fleet.Type != "prometheus" || queues.Name != "queues" || queues.Type != "rabbitmq" {
			t.Fatalf("%s has the triggers %+v", s.Name, s.Spec.Triggers)
		}
		if got, want := fleet.Metadata["query"], groups[i].query(); got != want {
			t.Errorf("%s asks\n%s, want\n%s", s.Name, got, want)
		}
		if fleet.Metadata["ignoreNullValues"] != "false" {
			t.Errorf("%s takes a number that is not known for zero", s.Name)
		}
		if got, want := queues.Metadata["queueName"], groups[i].queues(); got != want {
			t.Errorf("%s counts the messages of\n%s, want\n%s", s.Name, got, want)
		}
		if queues.Metadata["protocol"] != "http" || queues.Metadata["mode"] != "QueueLength" || queues.AuthenticationRef.Name != m.credentials[0].Name {
			t.Errorf("%s counts messages by %+v", s.Name, queues.Metadata)
		}
		wantFormula(t, s)
	}
}

// wantFormula evaluates the formula as KEDA does.
func wantFormula(t *testing.T, s *keda.ScaledObject) {
	t.Helper()
	if s.Spec.Fallback == nil || s.Spec.Fallback.Behavior != keda.FallbackBehaviorScalingModifiers {
		t.Errorf("%s: without fallback.behavior scalingModifiers the formula never learns that a trigger failed", s.Name)
	}
	program, err := keda.ValidateAndCompileScalingModifiers(s)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	for _, c := range []struct{ fleet, queues, want any }{
		{3.0, 50_000.0, 3.0}, {3.0, 0.0, 3.0}, {0.0, 50_000.0, 0.0}, {5.0, nil, 5.0}, {nil, 4_001.0, 3.0}, {nil, 0.0, 0.0}, {nil, nil, nil},
	} {
		got, err := expr.Run(program, map[string]any{"fleet": c.fleet, "queues": c.queues})
		if err != nil || got != c.want {
			t.Errorf("%s: with fleet %v and queues %v there are to be %v pods, want %v (%v)", s.Name, c.fleet, c.queues, got, c.want, err)
		}
	}
}

// Two overlays differ by numbers and by what they add: the groups are the same.
func TestOverlaysHaveTheSameGroups(t *testing.T) {
	want := slices.Sorted(maps.Keys(build(t, overlays[0]).pods()))
	each(t, func(t *testing.T, m *manifests) {
		if got := slices.Sorted(maps.Keys(m.pods())); !slices.Equal(got, want) {
			t.Errorf("pods of %v, want %v", got, want)
		}
	})
}
