package alert_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/alert"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// postableAlert is what api/v2/openapi.yaml of prometheus/alertmanager allows an
// alert to have; a field it does not know is an error here.
type postableAlert struct {
	Labels       map[string]string `json:"labels"` // required
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"` // date-time
	EndsAt       string            `json:"endsAt"`   // date-time
	GeneratorURL string            `json:"generatorURL"`
}

// labelName is what an Alertmanager takes for the name of a label (its data model, before UTF-8 names).
var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// postable holds a body against the API: its shape, and what the server checks beyond it.
func postable(t testing.TB, body []byte) (a postableAlert, starts, ends time.Time) {
	t.Helper()
	var list []postableAlert
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil || len(list) != 1 {
		t.Fatalf("want a list of one alert, got %s, %v", body, err)
	}
	a = list[0]
	for name, value := range a.Labels {
		if !labelName.MatchString(name) || value == "" {
			t.Errorf("%q=%q is no label", name, value)
		}
	}
	for name := range a.Annotations {
		if !labelName.MatchString(name) {
			t.Errorf("%q is no name of an annotation", name)
		}
	}
	if a.Labels["alertname"] == "" {
		t.Error("an alert needs a name")
	}
	var err error
	if starts, err = time.Parse(time.RFC3339, a.StartsAt); err != nil {
		t.Error(err)
	}
	if ends, err = time.Parse(time.RFC3339, a.EndsAt); err != nil {
		t.Error(err)
	}
	if ends.Before(starts) {
		t.Errorf("the server refuses what ends at %s and starts at %s", a.EndsAt, a.StartsAt)
	}
	if u, err := url.ParseRequestURI(a.GeneratorURL); err != nil || u.Scheme == "" {
		t.Errorf("want a URI, got %q, %v", a.GeneratorURL, err)
	}
	return a, starts, ends
}

func labels(t testing.TB, body []byte) map[string]string {
	t.Helper()
	a, _, _ := postable(t, body)
	return a.Labels
}

func TestAnAlertmanagerIsToldAsItsAPIWantsIt(t *testing.T) {
	t.Parallel()
	lowAt := func(available string, at time.Time) event.Any {
		return workertest.Event(t, event.InventoryLowStock{
			ItemID: "cup", LocationID: "shop", Available: workertest.Decimal(available), Threshold: workertest.Decimal("10"),
		}, func(env *event.Envelope) { env.Timestamp = at })
	}
	now := workertest.Day.Add(48 * time.Hour)
	for name, c := range map[string]struct {
		e      event.Any
		labels map[string]string
		starts time.Time
	}{
		"low": {lowAt("3", workertest.Day),
			map[string]string{"alertname": "LowStock", "tenant": "acme", "item": "cup", "location": "shop", "severity": "warning"}, workertest.Day},
		"nothing left": {lowAt("0", workertest.Day),
			map[string]string{"alertname": "LowStock", "tenant": "acme", "item": "cup", "location": "shop", "severity": "critical"}, workertest.Day},
		"in a future": {lowAt("-2.5", now.AddDate(1, 0, 0)),
			map[string]string{"alertname": "LowStock", "tenant": "acme", "item": "cup", "location": "shop", "severity": "critical"}, now},
		"long ago": {lowAt("3", workertest.Day.AddDate(-10, 0, 0)),
			map[string]string{"alertname": "LowStock", "tenant": "acme", "item": "cup", "location": "shop", "severity": "warning"}, workertest.Day.AddDate(-10, 0, 0)},
		"a lot": {expiring(t),
			map[string]string{"alertname": "LotExpiring", "tenant": "acme", "item": "milk", "location": "shop", "lot": "L-1", "severity": "warning"}, workertest.Day},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manager := newReceiver(t)
			w := alert.New(alert.Config{AlertmanagerURL: manager.URL + "/prefix/", Now: func() time.Time { return now }})
			if _, err := workertest.Handle(t, storetest.DB(t), w, c.e); err != nil {
				t.Fatal(err)
			}
			posts := manager.received()
			if len(posts) != 1 || posts[0].path != "POST /prefix/api/v2/alerts" || posts[0].contentType != "application/json" {
				t.Fatalf("want one post to the API, got %+v", posts)
			}
			a, starts, ends := postable(t, posts[0].body)
			if !reflect.DeepEqual(a.Labels, c.labels) || a.Annotations["summary"] == "" || a.GeneratorURL != "urn:uuid:"+c.e.ID.String() {
				t.Errorf("want %v and a summary, got %+v", c.labels, a)
			}
			if !starts.Equal(c.starts) || !ends.Equal(now.Add(24*time.Hour)) {
				t.Errorf("want it to burn from %s for a day from now, got %s to %s", c.starts, starts, ends)
			}
			if a.Annotations["businessTime"] != c.e.Timestamp.Format(time.RFC3339) {
				t.Errorf("want the business time, got %v", a.Annotations)
			}
		})
	}
}
