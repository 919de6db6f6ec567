package kubernetes

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const root = "../../.."

// overlays are what a user applies.
var overlays = []string{"small", "production", "keda"}

// manifests are the documents of an overlay, by kind.
type manifests struct {
	namespaces  []*core.Namespace
	deployments []*apps.Deployment
	jobs        []*batch.Job
	budgets     []*policy.PodDisruptionBudget
	scaled      []*keda.ScaledObject
	credentials []*keda.TriggerAuthentication
}

// build builds an overlay and decodes each of its documents: a field that its type does not have, or has twice, fails
// the test.
func build(t *testing.T, overlay string) *manifests {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy/kubernetes/overlays", overlay))
	if err != nil {
		t.Fatalf("overlay %s: %v", overlay, err)
	}
	m := &manifests{}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if namespace := r.GetNamespace(); r.GetKind() != "Namespace" && namespace != "composerp" {
			t.Errorf("overlay %s: %s is in namespace %q", overlay, r.CurId(), namespace)
		}
		switch kind := r.GetApiVersion() + " " + r.GetKind(); kind {
		case "v1 Namespace":
			m.namespaces = append(m.namespaces, decode[core.Namespace](t, text))
		case "apps/v1 Deployment":
			m.deployments = append(m.deployments, decode[apps.Deployment](t, text))
		case "batch/v1 Job":
			m.jobs = append(m.jobs, decode[batch.Job](t, text))
		case "policy/v1 PodDisruptionBudget":
			m.budgets = append(m.budgets, decode[policy.PodDisruptionBudget](t, text))
		case "keda.sh/v1alpha1 ScaledObject":
			m.scaled = append(m.scaled, decode[keda.ScaledObject](t, text))
		case "keda.sh/v1alpha1 TriggerAuthentication":
			m.credentials = append(m.credentials, decode[keda.TriggerAuthentication](t, text))
		default:
			t.Errorf("overlay %s: no test knows %s", overlay, kind)
		}
	}
	return m
}

func decode[T any](t *testing.T, text []byte) *T {
	t.Helper()
	object := new(T)
	raw, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	strict, err := json.UnmarshalStrict(raw, object)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range strict {
		t.Errorf("%v in\n%s", wrong, text)
	}
	return object
}

// pods are the templates of all pods, by the name of what makes them.
func (m *manifests) pods() map[string]core.PodTemplateSpec {
	pods := map[string]core.PodTemplateSpec{}
	for _, d := range m.deployments {
		pods[d.Name] = d.Spec.Template
	}
	for _, j := range m.jobs {
		pods[j.Name] = j.Spec.Template
	}
	return pods
}

// each runs a check on every overlay.
func each(t *testing.T, check func(t *testing.T, m *manifests)) {
	t.Helper()
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) { check(t, build(t, overlay)) })
	}
}

// source is a file of the repository.
func source(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// found is the first group of a pattern in a file of the repository.
func found(t *testing.T, path, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(source(t, path))
	if match == nil {
		t.Fatalf("%s has nothing like %s", path, pattern)
	}
	return match[1]
}

// drainSeconds is the time in which a process finishes what it has.
func drainSeconds(t *testing.T) int64 {
	t.Helper()
	n, err := strconv.ParseInt(found(t, "workers/worker/runner.go", `const drainTime = (\d+) \* time\.Second`), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
