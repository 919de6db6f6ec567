package deploy_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers"
)

// While the fleet's own number is not known, KEDA counts the messages of queues that it finds by regular expressions.
// The broker reads them: each queue of a worker and each lane is in one group, also a worker's that no manifest names.
func TestTheQueuesThatKEDACounts(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	declared := topology.Compute(append(workers.Subscriptions(), topology.Subscription{Worker: "ledger-copy", Ordered: true, Lanes: topology.Lanes{Routed: 2, Consumed: 2}}))
	if err := rabbitmq.Apply(t.Context(), declared, config); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, q := range declared.Queues {
		if topology.IsLane(q.Name) || strings.Count(q.Name, ".") == 1 && q.Name != topology.Unrouted {
			want = append(want, q.Name)
		}
	}
	var got []string
	for _, pattern := range patternsOfKEDA(t) {
		got = append(got, queuesLike(t, config, pattern)...)
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("KEDA counts the queues\n%v, want\n%v", got, want)
	}
}

// patternsOfKEDA are the queues' names in the overlay keda, one of a group.
func patternsOfKEDA(t *testing.T) (patterns []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy/kubernetes/overlays/keda/scale.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`queueName: (\S+)`).FindAllStringSubmatch(string(text), -1) {
		patterns = append(patterns, found[1])
	}
	return patterns
}

// queuesLike asks the broker as KEDA does.
func queuesLike(t *testing.T, config rabbitmq.Config, pattern string) (names []string) {
	t.Helper()
	response, err := http.Get(rabbitmqtest.ManagementURL(t) + "/api/queues/" + url.PathEscape(rabbitmqtest.VhostOf(t, config)) +
		"?page=1&use_regex=true&pagination=false&page_size=500&name=" + url.QueryEscape(pattern))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var page struct {
		Pages int `json:"page_count"`
		Items []struct {
			Name string `json:"name"`
		} `json:"items"`
	}
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil || page.Pages > 1 {
		t.Fatalf("queues like %s: %s, %d pages, %v", pattern, response.Status, page.Pages, err)
	}
	for _, q := range page.Items {
		names = append(names, q.Name)
	}
	return names
}
