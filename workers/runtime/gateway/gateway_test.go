package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/apikeys"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/gateway"
)

// site is a gateway on a database of its own, with a key.
type site struct {
	testing.TB
	url  string // of the database
	db   *store.DB
	at   string // of the gateway
	key  string
	stop func() error
}

func newSite(t testing.TB, change ...func(*gateway.Config)) *site {
	t.Helper()
	url := storetest.URL(t)
	return newSiteAt(t, url, storetest.Open(t, url, gateway.Connections), change...)
}

func newSiteAt(t testing.TB, url string, db *store.DB, change ...func(*gateway.Config)) *site {
	t.Helper()
	s := &site{TB: t, url: url, db: db}
	s.key = s.newKey(apikeys.Key{Tenant: "t1", Source: "till-7", Types: []string{"SALE_COMPLETED"}, MayRead: true})
	cfg := gateway.Config{DB: s.db, Log: slog.New(slog.DiscardHandler), Rate: 100_000}
	for _, c := range change {
		c(&cfg)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	storetest.Must(t, err)
	s.at = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var ended error
	done := make(chan struct{})
	go func() { defer close(done); ended = gateway.New(cfg).Run(ctx, listener) }()
	s.stop = func() error { cancel(); <-done; return ended }
	t.Cleanup(func() { _ = s.stop() })
	storetest.Eventually(t, "the gateway is ready", func() bool { status, _ := s.ask("GET", "/readyz", "", nil); return status == 200 })
	return s
}

func (s *site) newKey(k apikeys.Key) string {
	s.Helper()
	_, text, err := apikeys.Create(s.Context(), s.db, operatorlog.By{Operator: "test"}, k, 0)
	storetest.Must(s, err)
	return text
}

// ask makes a request with the site's key, and holds the answer to the OpenAPI document.
func (s *site) ask(method, path, body string, header map[string]string) (status int, answer string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.at+path, strings.NewReader(body))
	storetest.Must(s, err)
	r.Header.Set("Authorization", "Bearer "+s.key)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	storetest.Must(s, err)
	s.validate(r, a, text)
	return a.StatusCode, string(text)
}

var document = sync.OnceValue(func() routers.Router {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err == nil {
		err = doc.Validate(context.Background())
	}
	if err != nil {
		panic(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	return router
})

func (s *site) validate(r *http.Request, a *http.Response, text []byte) {
	s.Helper()
	asked := r.Clone(r.Context())
	asked.URL.Scheme, asked.URL.Host, asked.Host = "", "", ""
	route, params, err := document().FindRoute(asked)
	if err != nil {
		return // it is not in the document
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route},
		Status:                 a.StatusCode, Header: a.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	input.SetBodyBytes(text)
	if err := openapi3filter.ValidateResponse(s.Context(), input); err != nil {
		s.Errorf("%s %s: the answer %d %s is not what openapi.json says: %v", r.Method, r.URL.Path, a.StatusCode, text, err)
	}
}

func (s *site) logged() int { return storetest.Value[int](s, s.url, `SELECT count(*) FROM event_log`) }

var asJSON = map[string]string{"Content-Type": "application/json"}

// sale is a sale in the envelope.
func sale(id uuid.UUID, change ...string) string {
	return strings.NewReplacer(change...).Replace(fmt.Sprintf(`{"eventId":%q,"eventType":"SALE_COMPLETED","aggregateType":"SALE","aggregateId":"S1","tenantId":"t1",`+
		`"timestamp":"2026-02-09T12:00:00Z","version":"1.0","payload":%s,"metadata":{"source":"till-7"}}`, id, payload))
}

const payload = `{"saleId":"S1","itemId":"cup","locationId":"shop","quantity":6,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}`

func TestEachAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	known := uuid.New()
	if status, answer := s.ask("POST", "/v1/events", sale(known), asJSON); status != 202 {
		t.Fatalf("got %d %s", status, answer)
	}
	fresh := func(change ...string) string { return sale(uuid.New(), change...) }
	cloud := `{"specversion":"1.0","id":"A1","type":"SALE_COMPLETED","source":"/tills/7","subject":"S1","data":` + payload + `}`
	typ := func(name string) map[string]string { return map[string]string{"Content-Type": name} }
	binary := map[string]string{"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "A1", "ce-type": "SALE_COMPLETED", "ce-source": "/tills/7", "ce-subject": "S1"}
	for _, c := range []struct {
		name, body string
		header     map[string]string
		status     int
		says       string
		logged     int
	}{
		{"new", fresh(), asJSON, 202, `"admitted"`, 1},
		{"the same again", sale(known), asJSON, 200, `"duplicate"`, 0},
		{"another body", sale(known, `:6,`, `:7,`), asJSON, 409, `"field":"eventId"`, 0},
		{"a wrong type", fresh(`:6,`, `:"6",`), asJSON, 422, `"field":"payload.quantity"`, 0},
		{"too many digits", fresh(`:6,`, `:6.0000001,`), asJSON, 422, `"field":"payload.quantity"`, 0},
		{"no JSON", `{"eventId":`, asJSON, 400, `"detail"`, 0},
		{"an empty body", ``, asJSON, 400, `"detail"`, 0},
		{"a key twice", fresh(`"version"`, `"version":"1.0","version"`), asJSON, 422, `version`, 0},
		{"business time", fresh(`2026-02`, `2096-02`), asJSON, 422, `"field":"timestamp"`, 0},
		{"no tenant", fresh(`"tenantId":"t1",`, ``), asJSON, 202, `"admitted"`, 1},
		{"no source", fresh(`"source":"till-7"`, ``), asJSON, 202, `"admitted"`, 1},
		{"no metadata", fresh(`,"metadata":{"source":"till-7"}`, ``), asJSON, 202, `"admitted"`, 1},
		{"another tenant", fresh(`"t1"`, `"t2"`), asJSON, 403, `"field":"tenantId"`, 0},
		{"another source", fresh(`till-7`, `till-8`), asJSON, 403, `"field":"metadata.source"`, 0},
		{"a type that the key is not for", fresh(`SALE_COMPLETED`, `RECEIPT_COMPLETED`, `"SALE"`, `"RECEIPT"`, `"saleId":"S1"`, `"receiptId":"R1"`), asJSON, 403, `"field":"eventType"`, 0},
		{"a type of the workers", fresh(`SALE_COMPLETED`, `INVENTORY_LOW_STOCK`, `"SALE"`, `"INVENTORY"`, payload, `{"itemId":"cup","locationId":"shop","available":1,"threshold":2}`), asJSON, 403, `own workers`, 0},
		{"an array", "[" + fresh() + "," + fresh() + "]", asJSON, 202, `"results"`, 2},
		{"an array that is known", "[" + sale(known) + "]", asJSON, 200, `"duplicate"`, 0},
		{"an array with a bad one", "[" + fresh() + "," + fresh(`:6,`, `:0,`) + "," + fresh() + "]", asJSON, 207, `"index":1,"status":422`, 2},
		{"one id, two bodies", "[" + sale(uuid.Max, `:6,`, `:7,`) + "," + sale(uuid.Max) + "]", asJSON, 207, `"status":409`, 1},
		{"an array cut off", "[" + fresh() + ",", asJSON, 400, `no JSON array`, 0},
		{"an empty array", "[]", asJSON, 400, `no events`, 0},
		{"lines", fresh() + "\n\n" + fresh() + "\n", typ("application/x-ndjson"), 202, `"results"`, 2},
		{"lines with a bad one", fresh() + "\n{\n", typ("application/x-ndjson"), 207, `"status":400`, 1},
		{"gzip", zipped(fresh()), map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, 202, `"admitted"`, 1},
		{"no gzip", fresh(), map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, 400, `cannot be read`, 0},
		{"another encoding", fresh(), map[string]string{"Content-Type": "application/json", "Content-Encoding": "br"}, 415, `"field":"Content-Encoding"`, 0},
		{"gzip without bounds", zipped(strings.Repeat(" ", 9<<20)), map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, 413, `8388608`, 0},
		{"too large", strings.Repeat(" ", 9<<20), asJSON, 413, `8388608`, 0},
		{"one event too large", fresh(`"saleId"`, `"more":"`+strings.Repeat("x", 1<<20)+`","saleId"`), asJSON, 413, `1048576`, 0},
		{"too many", strings.Repeat("{}\n", 1001), typ("application/x-ndjson"), 413, `1000`, 0},
		{"another media type", fresh(), typ("text/plain"), 415, `"field":"Content-Type"`, 0},
		{"a CloudEvent", cloud, typ("application/cloudevents+json; charset=utf-8"), 202, `"admitted"`, 1},
		{"the same in headers", payload, binary, 200, `"duplicate"`, 0},
		{"CloudEvents", "[" + cloud + "," + strings.Replace(cloud, "A1", "A2", 1) + "]", typ("application/cloudevents-batch+json"), 202, `"results"`, 1},
		{"a CloudEvent with a wrong payload", strings.Replace(cloud, ":6,", ":0,", 1), typ("application/cloudevents+json"), 422, `"field":"data.quantity"`, 0},
		{"a CloudEvent without a subject", strings.Replace(cloud, "subject", "object", 1), typ("application/cloudevents+json"), 422, `"field":"subject"`, 0},
		{"a CloudEvent of another tenant", strings.Replace(cloud, `"subject"`, `"tenantid":"t2","subject"`, 1), typ("application/cloudevents+json"), 403, `tenant`, 0},
	} {
		before := s.logged()
		status, answer := s.ask("POST", "/v1/events", c.body, c.header)
		if n := s.logged() - before; status != c.status || !strings.Contains(answer, c.says) || n != c.logged {
			t.Errorf("%s: want %d with %s and %d more events, got %d, %d more events: %.400s", c.name, c.status, c.says, c.logged, status, n, answer)
		}
	}
	if n := storetest.Value[int](t, s.url, `SELECT count(*) FROM event_log WHERE NOT publish OR tenant_id <> 't1' OR body::json #>> '{metadata,source}' IS DISTINCT FROM 'till-7'`); n != 0 {
		t.Errorf("%d events are not the key's, or are not published", n)
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id, foreign := uuid.New(), uuid.New()
	s.ask("POST", "/v1/events", sale(id), asJSON)
	for _, item := range []string{"a", "b", "c"} {
		storetest.Exec(t, s.url, `INSERT INTO stock (tenant_id, item_id, location_id, on_hand, reserved, available, sequence, last_movement_at, last_movement_type)
			VALUES ('t1', $1, 'shop', 1, 0, 1, 1, now(), 'SALE'), ('t2', $1, 'shop', 1, 0, 1, 1, now(), 'SALE')`, item)
	}
	mine := s.key
	s.key = s.newKey(apikeys.Key{Tenant: "t2", Source: "till-7", Types: []string{"SALE_COMPLETED"}})
	storetest.Eventually(t, "the new key is taken", func() bool {
		status, _ := s.ask("POST", "/v1/events", sale(foreign, `"t1"`, `"t2"`), asJSON)
		return status/100 == 2
	})
	if status, _ := s.ask("GET", "/v1/stock", "", nil); status != 403 {
		t.Errorf("a key that may not read gets %d", status)
	}
	s.key = mine
	for path, want := range map[string]int{
		"/v1/events/" + id.String(): 200, "/v1/events/" + foreign.String(): 404, "/v1/events/" + uuid.NewString(): 404, "/v1/events/x": 400,
		"/v1/orders/PO-1": 404, "/v1/orders/%00": 400, "/v1/stock?limit=0": 400, "/v1/stock?after=x": 400, "/v1/stock?itemId=%00": 400, "/nothing": 404, "/openapi.json": 200, "/livez": 200,
	} {
		if status, answer := s.ask("GET", path, "", nil); status != want {
			t.Errorf("%s: want %d, got %d %s", path, want, status, answer)
		}
	}
	if status, _ := s.ask("DELETE", "/v1/stock", "", nil); status != 405 {
		t.Errorf("DELETE gets %d", status)
	}
	var items []string
	for path := "/v1/stock?limit=2"; path != ""; {
		var page struct {
			Stock []struct{ TenantID, ItemID string }
			Next  string
		}
		_, answer := s.ask("GET", path, "", nil)
		storetest.Must(t, json.Unmarshal([]byte(answer), &page))
		for _, row := range page.Stock {
			items = append(items, row.TenantID+row.ItemID)
		}
		path = page.Next
	}
	if fmt.Sprint(items) != "[t1a t1b t1c]" {
		t.Errorf("the pages have %v", items)
	}
}

func TestKeysThatDoNotHold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id, _ := apikeys.Split(s.key)
	mine := s.key
	for _, key := range []string{"", "x", mine[:len(mine)-1], mine + "0", strings.Replace(mine, id, strings.Repeat("0", len(id)), 1), "composerp__", "composerp_" + id + "_"} {
		s.key = key
		if status, answer := s.ask("POST", "/v1/events", sale(uuid.New()), asJSON); status != 401 || strings.Contains(answer, id) {
			t.Errorf("key %q: got %d %s", key, status, answer)
		}
	}
	s.key = mine
	if _, err := apikeys.Revoke(t.Context(), s.db, operatorlog.By{Operator: "test"}, id); err != nil {
		t.Fatal(err)
	}
	storetest.Eventually(t, "the revoked key is refused", func() bool { status, _ := s.ask("POST", "/v1/events", sale(uuid.New()), asJSON); return status == 401 })
	if n := storetest.Value[int](t, s.url, `SELECT count(*) FROM operator_log WHERE coalesce(before::text, '') || coalesce(after::text, '') LIKE '%' || $1 || '%'`, mine[len(mine)-20:]); n != 0 {
		t.Error("the operator log has the secret")
	}
}
