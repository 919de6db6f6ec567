package kubernetes

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// group is the workers that a Deployment runs.
type group struct {
	name  string
	rest  bool     // it runs all workers but those named
	named []string // in the order of its arguments
	slots int      // --max-slots
}

// groupOf reads a container's arguments; false: it runs no workers.
func groupOf(t *testing.T, name string, c core.Container) (group, bool) {
	t.Helper()
	if len(c.Args) < 5 || strings.Join(c.Args[:3], " ") != "worker run --max-slots" {
		return group{}, false
	}
	slots, err := strconv.Atoi(c.Args[3])
	if err != nil {
		t.Fatal(err)
	}
	g := group{name: name, named: c.Args[4:], slots: slots}
	if g.named[0] == "--except" && len(g.named) == 3 && g.named[2] == "all" {
		g.rest, g.named = true, strings.Split(g.named[1], ",")
	}
	return g, true
}

// groups are those of an overlay.
func (m *manifests) groups(t *testing.T) (groups []group) {
	t.Helper()
	for _, d := range m.deployments {
		if g, ok := groupOf(t, d.Name, d.Spec.Template.Spec.Containers[0]); ok {
			groups = append(groups, g)
		}
	}
	return groups
}

func (g group) runs(worker string) bool { return slices.Contains(g.named, worker) != g.rest }

// groupProblems says which workers of a fleet run in two groups or in none, and which groups the program would refuse.
func groupProblems(groups []group, fleet []string) (problems []string) {
	for _, worker := range fleet {
		var in []string
		for _, g := range groups {
			if g.runs(worker) {
				in = append(in, g.name)
			}
		}
		if len(in) != 1 {
			problems = append(problems, fmt.Sprintf("%s is in the groups %v, want one", worker, in))
		}
	}
	for _, g := range groups {
		for _, name := range g.named {
			if !slices.Contains(fleet, name) {
				problems = append(problems, fmt.Sprintf("%s names %s, which is no worker", g.name, name))
			}
		}
		if !slices.ContainsFunc(fleet, g.runs) {
			problems = append(problems, g.name+" runs no worker")
		}
	}
	return problems
}

// standardFleet are the workers of the registry.
func standardFleet(t *testing.T) (names []string) {
	t.Helper()
	for _, line := range regexp.MustCompile(`(?m)^\t\t(\w+)\.New\(`).FindAllStringSubmatch(source(t, "workers/fleet.go"), -1) {
		names = append(names, line[1])
	}
	return names
}

// Every worker of the fleet runs in one group, and so does one that no manifest names.
func TestEveryWorkerIsInOneGroup(t *testing.T) {
	fleet := append(standardFleet(t), "greeter")
	each(t, func(t *testing.T, m *manifests) {
		for _, problem := range groupProblems(m.groups(t), fleet) {
			t.Error(problem)
		}
		relays := 0
		for _, d := range m.deployments {
			if slices.Equal(d.Spec.Template.Spec.Containers[0].Args, []string{"relay"}) {
				relays++
			}
		}
		if relays != 1 || len(m.jobs) != 1 || relays+len(m.groups(t)) != len(m.deployments) {
			t.Errorf("%d relays, %d jobs and %d groups in %d Deployments", relays, len(m.jobs), len(m.groups(t)), len(m.deployments))
		}
	})
}

func TestWorkersInTwoGroupsOrInNone(t *testing.T) {
	fleet := []string{"ledger", "lots", "alert"}
	stock, rest := group{name: "stock", named: []string{"ledger", "lots"}}, group{name: "rest", rest: true, named: []string{"ledger", "lots"}}
	for _, c := range []struct {
		groups []group
		want   string // part of the only problem
	}{
		{[]group{stock, rest}, ""},
		{[]group{stock, {name: "rest", rest: true, named: []string{"ledger"}}}, "lots is in the groups [stock rest]"},
		{[]group{{name: "stock", named: []string{"ledger"}}, rest}, "lots is in the groups []"},
		{[]group{stock, {name: "orders", named: []string{"alert"}}, rest}, "alert is in the groups [orders rest]"},
		{[]group{stock, rest, rest}, "alert is in the groups [rest rest]"},
		{[]group{stock}, "alert is in the groups []"},
		{[]group{{name: "stock", named: []string{"ledger", "lots", "leger"}}, rest}, "stock names leger"},
		{[]group{{name: "stock", named: fleet}, {name: "rest", rest: true, named: fleet}}, "rest runs no worker"},
	} {
		problems := groupProblems(c.groups, fleet)
		if c.want == "" && len(problems) > 0 || c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0], c.want)) {
			t.Errorf("%+v: %q, want %q", c.groups, problems, c.want)
		}
	}
}
