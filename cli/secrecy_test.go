package cli_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
)

// secrecy looks for the secrets of a fleet in what is shown of it.
type secrecy struct {
	*environment
	marks map[string]string // by what they are
	shown int
}

// shows checks a text.
func (s *secrecy) shows(where, text string) {
	s.Helper()
	s.shown += len(text)
	for what, mark := range s.marks {
		for _, form := range []string{mark, url.QueryEscape(mark), url.PathEscape(mark)} {
			if at := strings.Index(text, form); at >= 0 {
				s.Errorf("%s shows %s: …%s…", where, what, text[max(0, at-80):at])
				break
			}
		}
	}
}

// ask runs a command that may fail.
func (s *secrecy) ask(when string, args ...string) {
	s.Helper()
	r := s.run(args...)
	s.shows(when+": composerp "+strings.Join(args, " "), r.out+r.errors)
}

// get asks the fleet's own address for all that it serves; with the page's token, and without.
func (s *secrecy) get(when, address string) {
	s.Helper()
	for _, path := range []string{"/", "/story?q=S1", "/letters", "/workers", "/proof", "/planner", "/metrics", "/healthz", "/readyz", "/livez"} {
		for _, token := range []string{"", s.marks["the page's token"]} {
			request := storetest.MustGet(http.NewRequestWithContext(s.Context(), http.MethodGet, address+path, nil))(s)
			if token != "" {
				request.Header.Set("Authorization", "Bearer "+token)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				s.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			s.shows(when+": "+path, string(body)+fmt.Sprint(answer.Header))
			if path == "/" && token != "" && when == "up" && answer.StatusCode != http.StatusOK {
				s.Errorf("the page with its token: %s", answer.Status)
			}
		}
	}
}

var servedAt = regexp.MustCompile(`metrics +(http://[^/\s]+)`)

// No secret of a fleet is in its log, its errors, its arguments, what doctor and --show-config print, its metrics or
// its page: while all is well, with passwords and certificates that are refused, with files that are damaged, and
// without servers.
func noSecretIsShown(t *testing.T, servers encryptedServers) {
	s := &secrecy{environment: &environment{T: t, dir: t.TempDir()}, marks: map[string]string{}}
	urls := secrets.Make(secrets.Servers{Database: servers.DatabaseURL, AMQP: servers.AMQPURL, Management: servers.ManagementURL}, workers.Subscriptions(),
		func(user string) string { return "geheim/" + user })
	for key, raw := range urls {
		password, _ := storetest.MustGet(url.Parse(raw))(t).User.Password()
		s.marks["the password of "+key] = password
	}
	certificate, key := servers.authority.Files(t, servers.dir, localtest.Certificate{Name: "composerp_worker"})
	s.marks["a key"] = strings.Split(string(storetest.MustGet(os.ReadFile(key))(t)), "\n")[1]
	urls[secrets.Database(grants.Worker)] = changed(t, urls[secrets.Database(grants.Worker)], "", map[string]string{"sslcert": certificate, "sslkey": key})
	webhook := base64.StdEncoding.EncodeToString([]byte("geheim-webhook-geheim-webhook"))
	s.marks["the webhooks' secret"], s.marks["the page's token"] = webhook, "geheim-page-token-geheim"
	s.marks["the path of a webhook"], s.marks["a collector's password"] = "geheim-path", "geheim-collector"
	file := func(name, content string) string {
		path := filepath.Join(s.dir, name)
		storetest.Must(t, os.WriteFile(path, []byte(content), 0o600))
		old := time.Now().Add(-time.Minute)
		storetest.Must(t, os.Chtimes(path, old, old))
		return path
	}
	text := urls.Text(workers.Subscriptions())
	fleetFile := file("fleet.secrets", text)
	s.env = append(cleanEnv(), "COMPOSERP_METRICS_ADDR=127.0.0.1:0", "COMPOSERP_LOG_LEVEL=debug", "COMPOSERP_SECRETS="+fleetFile,
		"COMPOSERP_WEBHOOK_SECRET_FILE="+file("webhook", "whsec_"+webhook), "COMPOSERP_PAGE_TOKEN_FILE="+file("token", s.marks["the page's token"]),
		"COMPOSERP_NOTIFICATION_URL=http://127.0.0.1:1/geheim-path", "COMPOSERP_ALERT_URL=http://127.0.0.1:1/geheim-path",
		"COMPOSERP_OTLP_ENDPOINT=http://any:geheim-collector@127.0.0.1:1")
	s.admit(servers.Servers, fleetFile)
	s.ok("migrate", "up")
	f := s.up()
	found := servedAt.FindStringSubmatch(f.log.String())
	if found == nil {
		t.Fatalf("up says no address: %s", f.log)
	}
	s.sellAs("11111111-1111-4111-8111-111111111101")
	s.get("up", found[1])
	for _, path := range []string{"cmdline", "comm"} {
		s.shows("/proc/PID/"+path, string(storetest.MustGet(os.ReadFile(fmt.Sprintf("/proc/%d/%s", f.cmd.Process.Pid, path)))(t)))
	}
	asked := func(when string) {
		t.Helper()
		for _, args := range [][]string{{"doctor"}, {"doctor", "--show-config"}, {"worker", "list"}, {"audit"}, {"topology", "diff"}} {
			s.ask(when, args...)
		}
	}
	asked("all is well")
	other := filepath.Join(servers.dir, "other.pem")
	storetest.Must(t, os.WriteFile(other, localtest.NewAuthority(t, "Other").PEM(), 0o600))
	for when, content := range map[string]string{
		"wrong passwords":   strings.ReplaceAll(text, "geheim%2F", "falsch%2Fgeheim%2F"),
		"another authority": strings.ReplaceAll(text, "ca.pem", "../../../../../../.."+url.QueryEscape(other)),
		"half a file":       text[:len(text)/2+20],
		"no keys":           strings.ReplaceAll(text, "=", " "),
	} {
		s.env[len(s.env)-1] = "COMPOSERP_SECRETS=" + file("wrong.secrets", content)
		asked(when)
		file("fleet.secrets", content)
		disconnectEncrypted(t, servers.Servers)
	}
	file("fleet.secrets", strings.ReplaceAll(text, "geheim%2F", "falsch%2Fgeheim%2F"))
	disconnectEncrypted(t, servers.Servers)
	localtest.Eventually(t, time.Minute, "the fleet is refused", func() bool { return strings.Contains(f.log.String(), "refuses access") })
	s.env = append(s.env[:len(s.env)-1], "COMPOSERP_SECRETS="+file("right.secrets", text))
	storetest.Must(t, servers.Halt(t.Context(), local.PostgreSQL, syscall.SIGKILL))
	storetest.Must(t, servers.Halt(t.Context(), local.RabbitMQ, syscall.SIGKILL))
	asked("no servers")
	s.get("no servers", found[1])
	if !strings.Contains(f.log.String(), "secrets are not renewed") || s.shown < 50_000 {
		t.Errorf("%d bytes were looked at, and the log is\n%s", s.shown, f.log)
	}
	s.shows("the log", f.log.String())
}

// disconnectEncrypted is disconnect for servers with TLS: of the database's connections alone, which are made again at
// once.
func disconnectEncrypted(t *testing.T, s *local.Servers) {
	t.Helper()
	super := storetest.MustGet(s.Superuser())(t)
	defer super.Close()
	_, err := super.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'composerp/%'`)
	storetest.Must(t, err)
}
