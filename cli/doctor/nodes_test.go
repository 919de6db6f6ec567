package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

// A node in trouble can not be had from a broker that others are testing on.
func TestDoctorOfNodesInTrouble(t *testing.T) {
	t.Parallel()
	const good = `"os_pid":"7","running":true,"mem_used":1048576,"mem_limit":9048576,"disk_free":90485760,"disk_free_limit":1048576,"enabled_plugins":["rabbitmq_management","rabbitmq_prometheus"]`
	for _, c := range []struct {
		node    string
		state   State
		what    string
		alarmed bool
	}{
		{good, StateOK, "none", false},
		{`"running":false`, StateProblem, "rabbit@h is down", false},
		{`"running":true`, StateWarning, "no statistics of rabbit@h yet", false}, // it has just started
		{`"running":true,"disk_free_limit":1048576`, StateWarning, "no statistics of rabbit@h yet", false},
		{good + `,"mem_alarm":true`, StateProblem, "it uses 1 MB of memory, its limit is 8 MB", true},
		{good + `,"disk_free_alarm":true`, StateProblem, "86 MB of disk are free, its limit is 1 MB", true},
		{strings.Replace(good, `"disk_free":90485760`, `"disk_free":1548576`, 1), StateWarning, "1 MB of disk free", false},
		{strings.Replace(good, `,"rabbitmq_prometheus"`, ``, 1), StateWarning, "rabbitmq_prometheus is not enabled", false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `[{"name":"rabbit@h",%s}]`, c.node)
		}))
		defer server.Close()
		management, err := management.New(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		x := &Examination{}
		nodes, err := management.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		alarmed := false
		for _, p := range watchdog.Nodes(nodes) {
			alarmed = alarmed || p.Kind == watchdog.Alarm && !p.Warning
			x.Judged(p)
		}
		x.ExamineNodes(nodes)
		ok := slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.State == c.state && strings.Contains(f.What, c.what) })
		if !ok || alarmed != c.alarmed || len(x.Findings) != 1 || x.Worst() != c.state {
			t.Errorf("%s: alarmed %v, %+v", c.node, alarmed, x.Findings)
		}
	}
}
