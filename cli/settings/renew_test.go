package settings

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/secrets"
)

// write writes a file that changed that long ago.
func write(t *testing.T, path, text string, ago time.Duration) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-ago)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// A value is replaced by a whole and settled one alone. What is wrong with a file is logged once, not each time.
func TestWhatIsRenewed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	var logged bytes.Buffer
	read := func() (string, error) {
		raw, err := os.ReadFile(path)
		if err == nil && !bytes.HasSuffix(raw, []byte(".")) {
			err = errors.New("reading " + path + ": it has no end")
		}
		return string(raw), err
	}
	write(t, path, "first.", time.Hour)
	r := newRenewed(slog.New(slog.NewTextHandler(&logged, nil)), []string{path}, "first.", read)
	wants := func(want string) {
		t.Helper()
		if got := r.now(); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
	wants("first.")
	write(t, path, "second.", 0) // its writer may go on
	wants("first.")
	if logged.Len() > 0 {
		t.Errorf("a good file is logged: %s", &logged)
	}
	write(t, path, "second.", time.Minute)
	wants("second.")
	logged.Reset()
	for range 3 {
		write(t, path, "thi", time.Minute)
		wants("second.")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		wants("second.")
	}
	if got := logged.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, path) {
		t.Errorf("want one line with the file's name: %s", got)
	}
	write(t, path, "third.", 30*time.Second)
	wants("third.")
	write(t, path, "future.", -time.Hour) // by a clock that is ahead
	wants("future.")
}

// User, password and parameters may change, and nothing that leads elsewhere. The errors have no secrets.
func TestRenewedURLsLeadToTheSameServers(t *testing.T) {
	t.Parallel()
	at := Endpoints{
		Database: "postgres://u:geheim@db1:5432,db2/erp?sslmode=verify-full", AMQP: "amqps://u:geheim@mq1/erp,amqps://u:geheim@mq2/erp",
		Secrets: secrets.URLs{"AMQP_URL_RELAY": "amqps://relay:geheim@mq1/erp", "DATABASE_URL_WORKER": "postgres://w:geheim@db1/erp"},
	}
	for name, c := range map[string]struct {
		change func(e *Endpoints)
		want   string
	}{
		"users, passwords and certificates": {func(e *Endpoints) {
			e.Database = "postgres://o:a@db1:5432,db2/erp?sslcert=/c.pem"
			e.AMQP = "amqps://o:a@mq1/erp?certfile=c,amqps://o:a,b@mq2/erp"
			e.Secrets["AMQP_URL_RELAY"] = "amqps://other@mq1/erp?auth_mechanism=external"
		}, ""},
		"a part more":          {func(e *Endpoints) { e.Secrets["AMQP_URL_TOPOLOGY"] = "amqps://topology:geheim@mq1/erp" }, ""},
		"another host":         {func(e *Endpoints) { e.Secrets["DATABASE_URL_WORKER"] = "postgres://w:geheim@db2/erp" }, "DATABASE_URL_WORKER leads"},
		"another host by name": {func(e *Endpoints) { e.Database += "&host=db9" }, "database-url leads"},
		"another virtual host": {func(e *Endpoints) { e.Secrets["AMQP_URL_RELAY"] = "amqps://relay:geheim@mq1/er" }, "AMQP_URL_RELAY leads"},
		"in the clear":         {func(e *Endpoints) { e.Secrets["AMQP_URL_RELAY"] = "amqp://relay:geheim@mq1/erp" }, "AMQP_URL_RELAY leads"},
		"a node fewer":         {func(e *Endpoints) { e.AMQP = "amqps://u:geheim@mq1/erp" }, "amqp-url leads"},
		"a line fewer":         {func(e *Endpoints) { delete(e.Secrets, "AMQP_URL_RELAY") }, "AMQP_URL_RELAY is missing"},
		"an empty file":        {func(e *Endpoints) { e.Database = "" }, "database-url is missing"},
	} {
		now := at
		now.Secrets = secrets.URLs{"AMQP_URL_RELAY": at.Secrets["AMQP_URL_RELAY"], "DATABASE_URL_WORKER": at.Secrets["DATABASE_URL_WORKER"]}
		c.change(&now)
		err := at.sameServers(now)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim")) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
