package doctor

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/management"
)

func TestVersionsThatTheDoctorKnows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version, flags string
		state          State
		what           string
	}{
		{"3.10.8", `[]`, StateOK, "all are enabled"},
		{"4.0.5", `[{"name":"khepri_db","state":"disabled","stability":"experimental"},{"name":"quorum_queue","state":"enabled","stability":"required"}]`, StateOK, "all are enabled"},
		{"4.0.5", `[{"name":"stream_filtering","state":"disabled","stability":"stable"}]`, StateWarning, "1 feature flags are off: stream_filtering"},
		{"4.3.0", `[]`, StateWarning, "RabbitMQ 4.3.0"},
		{"4.3.2", `[]`, StateWarning, "RabbitMQ 4.3.2"},
		{"4.3.3", `[]`, StateOK, "all are enabled"},
		{"4.10.0", `[]`, StateOK, "all are enabled"},
		{"unknown", `[]`, StateOK, "all are enabled"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.flags)) }))
		defer server.Close()
		api, err := management.New(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		x := &Examination{}
		x.examineVersion(t.Context(), api, management.Overview{Version: c.version})
		if !slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.State == c.state && strings.Contains(f.What, c.what) }) || x.Worst() != c.state {
			t.Errorf("%s with %s: %+v", c.version, c.flags, x.Findings)
		}
	}
}
